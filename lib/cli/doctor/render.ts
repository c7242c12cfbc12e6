import type { Check } from './check.ts'

/** The checks for people: a line each, in columns, and below it the command that would mend it. */
export function renderChecks(checks: readonly Check[]): string {
  const rows = checks.map((check) => ({ check, cells: [verdict(check), check.name, check.version ?? '-'] as const }))
  const widths = [0, 1, 2].map((column) => Math.max(0, ...rows.map(({ cells }) => cells[column]?.length ?? 0)))
  const lines = rows.flatMap(({ check, cells }) => {
    const line = [...cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)), oneLine(check.detail)].join('  ').trimEnd()
    return check.mend === null ? [line] : [line, `    to mend it: ${check.mend}`]
  })
  return lines.map((line) => `${line}\n`).join('')
}

function verdict({ found, mend }: Check): string {
  if (!found) return 'missing'
  return mend === null ? 'ok' : 'mend'
}

/** What others say may have line breaks; a check is one line. */
function oneLine(text: string): string {
  return text.trim().replace(/\s*\n\s*/g, '; ')
}

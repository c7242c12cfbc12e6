import { type GoalName, goals } from './bar.ts'
import type { Machine } from './machine.ts'
import { renderNumber } from './render-number.ts'
import type { Judgement, Measure, Report } from './report.ts'
import { table } from './table.ts'

export function renderMachine(machine: Machine): string[] {
  const { cpu, cores, memoryGiB, kernel, system, node, slotpool, commit, docker, nomad, bubblewrap, load } = machine
  return [
    `machine   ${cpu}, ${cores} cores, ${memoryGiB} GiB; ${system}, Linux ${kernel}; load ${load}`,
    `versions  slotpool ${slotpool}${commit === null ? '' : ` (${commit})`}, Node ${node}, Docker ${docker ?? 'none'}, ${nomad ?? 'Nomad none'}, ${bubblewrap ?? 'bubblewrap none'}`,
  ]
}

/** The figures of one scenario, what was measured by what was measured. */
export function renderScenario(scenario: string, { measures, notes }: Pick<Report, 'measures' | 'notes'>): string[] {
  const own = measures.filter((one) => one.scenario === scenario)
  const lines = [`# ${scenario}`]
  for (const what of new Set(own.map((one) => one.what))) {
    const rows = own.filter((one) => one.what === what)
    const unit = (rows[0] as Measure).unit
    const header = [`${what}, ${unit}`, 'p50', 'MAD', 'p25', 'p75', 'p99', 'n']
    lines.push('', ...table(header, rows.map(measureRow), 1))
  }
  const said = notes.filter((one) => one.scenario === scenario)
  if (said.length > 0) lines.push('', ...said.map(({ note }) => note))
  return lines
}

function measureRow({ system, summary: { n, p50, mad, p25, p75, p99 } }: Measure): string[] {
  // Of a single figure there is no spread to tell.
  if (n === 1) return [system, renderNumber(p50), '', '', '', '', '1']
  return [system, ...[p50, mad, p25, p75, p99].map(renderNumber), String(n)]
}

/** Every figure of the bar with what was measured; those that were not measured are named. */
export function renderBar(judgements: readonly Judgement[], quick: boolean): string[] {
  const rows = judgements.map((one) => [
    one.what,
    one.system,
    `${one.at === 'most' ? '≤' : '≥'} ${one.limit} ${one.unit}`,
    `${renderNumber(one.value)} ${one.unit}`,
    one.spread === null ? '' : one.spread.map(renderNumber).join(' to '),
    one.reached ? 'reached' : 'NOT REACHED',
  ])
  const lines = [
    quick ? '# bar (a quick run: with less work than the bar speaks of)' : '# bar',
    '',
    ...table(['what', 'system', 'to reach', 'measured', 'by round, p25 to p75', ''], rows, 2),
  ]
  const measured = new Set<GoalName>(judgements.map((one) => one.goal))
  const missing = (Object.keys(goals) as GoalName[]).filter((goal) => !measured.has(goal))
  if (missing.length > 0) lines.push('', 'not measured in this run:', ...missing.map((goal) => `  ${goals[goal].what}`))
  return lines
}

export function renderSystems({ systems, skipped, failures }: Pick<Report, 'systems' | 'skipped' | 'failures'>): string[] {
  const rows = [...systems].map(([name, { version, isolation }]) => [name, version, isolation])
  const lines = ['# systems', '', ...table(['system', 'version', 'isolation'], rows, 3)]
  if (skipped.length > 0) lines.push('', '# skipped', '', ...skipped.map(({ what, why }) => `${what}: ${why}`))
  if (failures.length > 0) lines.push('', '# failed', '', ...failures.map(({ what, why }) => `${what}: ${why}`))
  return lines
}

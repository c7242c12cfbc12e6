import { renderNumber } from './render-number.ts'
import type { Judgement, Measure } from './report.ts'
import type { Summary } from './statistics.ts'
import { escapeXml, renderSvg } from './svg.ts'

const width = 960
const labelWidth = 290
const valueWidth = 220
const barWidth = width - labelWidth - valueWidth
const rowHeight = 20
const titleHeight = 40
const colors = { ours: '#2563eb', floor: '#64748b', other: '#cbd5e1', whisker: '#0f172a', reached: '#15803d', missed: '#b91c1c' }

/** One SVG: a panel for each thing that was measured, bars of medians with a line from p25 to p99, on a logarithmic scale; the bar above. */
export function renderChart(title: string, subtitle: string, measures: readonly Measure[], judgements: readonly Judgement[]): string {
  const parts: string[] = []
  let y = 34
  const text = (x: number, at: number, content: string, more = '') =>
    parts.push(`<text x="${x}" y="${at}" ${more}>${escapeXml(content)}</text>`)
  text(16, y, title, 'font-size="18" font-weight="600"')
  y += 20
  text(16, y, subtitle, 'fill="#475569"')
  y += 16
  for (const one of judgements) {
    y += rowHeight
    const fill = one.reached ? colors.reached : colors.missed
    text(16, y, one.reached ? '✓' : '✗', `fill="${fill}" font-weight="600"`)
    text(36, y, `${one.what} — ${one.system}`)
    const wanted = `${one.at === 'most' ? '≤' : '≥'} ${one.limit} ${one.unit}`
    text(width - 16, y, `${renderNumber(one.value)} ${one.unit}  (${wanted})`, `text-anchor="end" fill="${fill}"`)
  }
  y += judgements.length > 0 ? 12 : 0
  for (const panel of panels(measures)) {
    y += titleHeight
    text(16, y - 6, panel.title, 'font-weight="600"')
    const scale = logScale(panel.rows)
    for (const { system, summary, unit, better } of panel.rows) {
      text(labelWidth - 8, y + 14, system, 'text-anchor="end"')
      const end = scale(summary.p50)
      parts.push(`<rect x="${labelWidth}" y="${y + 3}" width="${end.toFixed(1)}" height="${rowHeight - 6}" fill="${colorOf(system)}"/>`)
      if (summary.n > 1) {
        const [from, to] = [labelWidth + scale(summary.p25), labelWidth + scale(summary.p99)]
        parts.push(`<path d="M${from.toFixed(1)} ${y + rowHeight / 2}H${to.toFixed(1)}" stroke="${colors.whisker}" stroke-width="1.5"/>`)
      }
      text(width - 16, y + 14, `${renderNumber(summary.p50)} ${unit}${worst(better, summary)}`, 'text-anchor="end"')
      y += rowHeight
    }
  }
  return renderSvg(title, width, y + 20, parts)
}

/** The bad end of the samples, next to the median. */
function worst(better: Measure['better'], { n, min, p99 }: Summary): string {
  if (n === 1) return ''
  return better === 'less' ? ` (p99 ${renderNumber(p99)})` : ` (min ${renderNumber(min)})`
}

interface Panel {
  title: string
  rows: Measure[]
}

function panels(measures: readonly Measure[]): Panel[] {
  const found = new Map<string, Panel>()
  for (const one of measures) {
    const title = `${one.scenario}: ${one.what} (${one.unit}, ${one.better} is better)`
    const panel = found.get(title) ?? { title, rows: [] }
    panel.rows.push(one)
    found.set(title, panel)
  }
  return [...found.values()]
}

/** From the nearest power of ten below the smallest figure to the largest; never negative, whatever is not above zero has no length. */
function logScale(rows: readonly Measure[]): (value: number) => number {
  const values = rows.flatMap(({ summary }) => [summary.p25, summary.p50, summary.p99]).filter((value) => value > 0)
  if (values.length === 0) return () => 0
  const from = 10 ** (Math.ceil(Math.log10(Math.min(...values))) - 1)
  const span = Math.log10(Math.max(...values) / from)
  return (value) => (value <= from ? 0 : (Math.log10(value / from) / span) * barWidth)
}

function colorOf(system: string): string {
  if (system.startsWith('slotpool') || system.endsWith(' containers')) return colors.ours
  return system.includes('(floor)') ? colors.floor : colors.other
}

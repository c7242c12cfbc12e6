import { renderNumber } from './render-number.ts'
import { escapeXml, renderSvg } from './svg.ts'

/** Something over time. */
export interface Line {
  name: string
  color: string
  /** Time in hours, and what it was then; in order of time. */
  points: readonly (readonly [number, number])[]
  /** Filled down to zero. */
  filled?: boolean
}

/** Lines with one scale. */
export interface Panel {
  title: string
  lines: readonly Line[]
  height?: number
}

const width = 960
const left = 64
const right = 24
const panelHeight = 190
const plotWidth = width - left - right
const grid = '#e2e8f0'
const muted = '#475569'

/** One SVG: panels one below the other, with the hours of a day on the common axis. */
export function renderLineChart(title: string, subtitle: string, panels: readonly Panel[], hours: number): string {
  const parts: string[] = []
  const text = (x: number, y: number, content: string, more = '') =>
    parts.push(`<text x="${fixed(x)}" y="${fixed(y)}" ${more}>${escapeXml(content)}</text>`)
  const xOf = (hour: number): number => left + (hour / hours) * plotWidth
  text(16, 34, title, 'font-size="18" font-weight="600"')
  text(16, 54, subtitle, `fill="${muted}"`)
  let top = 92
  for (const { title: what, lines, height = panelHeight } of panels) {
    text(16, top - 12, what, 'font-weight="600"')
    legend(lines, top - 12, text, parts)
    const { most, step } = scaleOf(Math.max(0, ...lines.flatMap((one) => one.points.map(([, value]) => value))))
    const yOf = (value: number): number => top + height - (value / most) * height
    for (let value = 0; value <= most * 1.0001; value += step) {
      parts.push(`<path d="M${left} ${fixed(yOf(value))}H${width - right}" stroke="${grid}"/>`)
      text(left - 8, yOf(value) + 4, renderTick(value), `text-anchor="end" fill="${muted}"`)
    }
    for (let hour = 0; hour <= hours; hour += tickHours(hours)) {
      parts.push(`<path d="M${fixed(xOf(hour))} ${top}V${top + height}" stroke="${grid}"/>`)
      text(xOf(hour), top + height + 16, `${hour}:00`, `text-anchor="middle" fill="${muted}"`)
    }
    for (const { color, points, filled } of lines) {
      if (points.length === 0) continue
      const path = points.map(([hour, value]) => `${fixed(xOf(hour))} ${fixed(yOf(value))}`).join('L')
      const [first, last] = [points[0] as readonly [number, number], points.at(-1) as readonly [number, number]]
      if (filled) {
        parts.push(`<path d="M${fixed(xOf(first[0]))} ${top + height}L${path}L${fixed(xOf(last[0]))} ${top + height}Z" fill="${color}"/>`)
      } else parts.push(`<path d="M${path}" fill="none" stroke="${color}" stroke-width="1.5" stroke-linejoin="round"/>`)
    }
    top += height + 70
  }
  return renderSvg(title, width, top - 30, parts)
}

type Text = (x: number, y: number, content: string, more?: string) => void

/** The names of the lines with their colours, from the right. */
function legend(lines: readonly Line[], y: number, text: Text, parts: string[]): void {
  let x = width - right
  for (const { name, color } of [...lines].reverse()) {
    text(x, y, name, 'text-anchor="end"')
    x -= name.length * 6.6 + 18
    parts.push(`<rect x="${fixed(x)}" y="${y - 9}" width="12" height="10" fill="${color}"/>`)
    x -= 14
  }
}

/** A round number at or above the largest value, and the distance of the lines that tell it. */
function scaleOf(largest: number): { most: number; step: number } {
  if (largest <= 0) return { most: 1, step: 1 }
  const rough = largest / 4
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = ([1, 2, 2.5, 5, 10].find((one) => one * power >= rough) as number) * power
  return { most: Math.ceil(largest / step - 1e-9) * step, step }
}

const renderTick = (value: number): string => (Number.isInteger(value) ? value.toLocaleString('en') : renderNumber(value))

const tickHours = (hours: number): number => (hours > 12 ? 3 : hours > 3 ? 1 : 0.5)

const fixed = (value: number): string => value.toFixed(1)

import type { ExecPhases } from '../pool/exec.ts'

/** Where the time of one `slotpool exec` went, from the start of its process on. */
export class Trace {
  readonly #parts: [name: string, ms: number][]
  #lastAtMs = performance.now()

  constructor() {
    this.#parts = [['start', this.#lastAtMs]]
  }

  /** Ends a part that began with the end of the last one. */
  mark(name: string): void {
    const nowMs = performance.now()
    this.#parts.push([name, nowMs - this.#lastAtMs])
    this.#lastAtMs = nowMs
  }

  /** The parts of a command that has just ended. */
  addPhases(phases: ExecPhases): void {
    this.#parts.push(...Object.entries(phasesByName(phases)))
    this.#lastAtMs = performance.now()
  }

  line(): string {
    return `${this.#parts.map(([name, ms]) => `${name} ${ms.toFixed(1)}`).join(', ')} ms`
  }
}

/** The phases as the command line calls them, in milliseconds. */
export function phasesByName(phases: ExecPhases): Record<string, number> {
  return Object.fromEntries(Object.entries(phases).map(([name, ms]) => [name.replace(/Ms$/, ''), roundedMs(ms)]))
}

export function roundedMs(ms: number): number {
  return Math.round(ms * 1000) / 1000
}

import { type GoalName, goals, isReached } from './bar.ts'
import type { Measured } from './interleave.ts'
import type { Machine } from './machine.ts'
import { quantile, type Summary, summarize } from './statistics.ts'

/** One line of a scenario's result. */
export interface Measure {
  scenario: string
  /** What was measured, such as `echo hello`. */
  what: string
  /** Who did it, such as `slotpool local`. */
  system: string
  unit: string
  /** Which way is good, for whoever draws it. */
  better: 'less' | 'more'
  summary: Summary
  samples: readonly number[]
}

/** One figure of the bar, as it was measured. */
export interface Judgement {
  goal: GoalName
  what: string
  /** Whose figure it is. */
  system: string
  value: number
  /** The middle half of the ratios of the single rounds, where there are rounds. */
  spread: readonly [number, number] | null
  limit: number
  at: 'most' | 'least'
  unit: string
  reached: boolean
}

/** What was not measured, or only in part, and why. */
export interface Skipped {
  what: string
  why: string
}

/** Everything that a run found out. */
export class Report {
  readonly measures: Measure[] = []
  readonly judgements: Judgement[] = []
  readonly skipped: Skipped[] = []
  /** What a scenario has to say beside its figures. */
  readonly notes: { scenario: string; note: string }[] = []
  /** Systems that took part, with their version and what keeps commands apart there. */
  readonly systems = new Map<string, { version: string; isolation: string }>()
  readonly failures: Skipped[] = []

  add(measure: Omit<Measure, 'summary'>): Summary {
    const summary = summarize(measure.samples)
    this.measures.push({ ...measure, summary })
    return summary
  }

  /** Takes what {@link interleave} measured; one that failed is named, with the samples it has. */
  addMeasured(measured: readonly Measured[], terms: Omit<Measure, 'summary' | 'samples' | 'system'>): void {
    for (const { name, rounds, failure } of measured) {
      const samples = rounds.flat()
      if (samples.length > 0) this.add({ ...terms, system: name, samples })
      if (failure !== undefined) this.skip(`${name} in ${terms.scenario}`, failure)
    }
  }

  judge(goal: GoalName, system: string, value: number, spread: readonly [number, number] | null = null): void {
    const { what, limit, at, unit } = goals[goal]
    this.judgements.push({ goal, what, system, value, spread, limit, at, unit, reached: isReached(goals[goal], value) })
  }

  /** The same thing is said once, and in one line: some systems add pages. */
  skip(what: string, reason: string): void {
    const [why = ''] = reason.split('\n')
    if (!this.skipped.some((one) => one.what === what && one.why === why)) this.skipped.push({ what, why })
  }

  note(scenario: string, note: string): void {
    this.notes.push({ scenario, note })
  }

  toJSON(machine: Machine, run: object): object {
    return {
      ...run,
      machine,
      systems: Object.fromEntries(this.systems),
      judgements: this.judgements,
      measures: this.measures.map(({ samples, ...rest }) => ({ ...rest, samples: samples.map((one) => Number(one.toPrecision(6))) })),
      notes: this.notes,
      skipped: this.skipped,
      failures: this.failures,
    }
  }
}

/** The middle half of the ratios of two contestants' medians, round by round; null where they have fewer than four rounds in common. */
export function spreadOfRatio(mine: Measured, other: Measured): [number, number] | null {
  const rounds = Math.min(mine.rounds.length, other.rounds.length)
  // Rounds of a slow contestant that took part in only some lie beside others'.
  if (rounds < 4 || mine.rounds.length !== other.rounds.length) return null
  const ratios = mine.rounds
    .map((samples, at) => summarize(samples).p50 / summarize(other.rounds[at] as number[]).p50)
    .sort((a, b) => a - b)
  return [quantile(ratios, 0.25), quantile(ratios, 0.75)]
}

import type { BackendName } from '../lib/config.ts'
import type { BenchOptions } from './arguments.ts'
import type { Cleanup } from './cleanup.ts'
import type { Random } from './random.ts'
import type { Report } from './report.ts'

/** What a scenario works with. */
export interface Bench {
  readonly options: BenchOptions
  /** The backends that answered, of those that were asked for. */
  readonly backends: readonly BackendName[]
  readonly random: Random
  readonly report: Report
  /** Aborted when the run is interrupted. */
  readonly signal: AbortSignal
  /** Undone when the scenario is over. */
  readonly scope: Cleanup
  /** A folder of this run, gone after it. */
  readonly folder: string
  /** Marks what the run makes outside of this process: containers, jobs. */
  readonly id: string
  /** Says on stderr how far it is. */
  progress(line: string): void
}

/** One benchmark. */
export interface Scenario {
  name: string
  run(bench: Bench): Promise<void>
}

import type { Bench } from './bench.ts'
import type { Schedule } from './interleave.ts'

/** The schedule of a scenario that takes `samples` of each contestant in a full run. */
export function schedule(bench: Bench, own: Partial<Schedule> & { samples: number }): Schedule {
  const { options, random, signal } = bench
  const samples = options.samples ?? (options.quick ? Math.max(3, Math.ceil(own.samples / 10)) : own.samples)
  return {
    burst: options.burst,
    warmup: Math.min(10, samples),
    budgetMs: options.quick ? 3_000 : 20_000,
    settleMs: 100,
    random,
    signal,
    ...own,
    samples,
  }
}

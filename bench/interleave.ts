import { setTimeout as delay } from 'node:timers/promises'
import type { Random } from './random.ts'
import { median } from './statistics.ts'

/** One that is measured beside others. */
export interface Contestant {
  name: string
  /** Does the thing once; resolves with how many milliseconds it took, or with whatever else is measured. Rejects when it went wrong. */
  once(): Promise<number>
}

/** How often, and in what order. */
export interface Schedule {
  /** Of each contestant, unless its time is up before. */
  samples: number
  /**
   * Runs in a row. What goes on behind a run, such as a shell made ready for the next one, then falls on the next run of the same
   * contestant, and not only on whoever comes after it.
   */
  burst: number
  /** Runs before the first that counts. */
  warmup: number
  /** What one contestant may take of the whole time, in milliseconds: a slow one has fewer samples, spread over the whole run. */
  budgetMs: number
  /** Between two contestants, for what the one leaves running for a moment. */
  settleMs: number
  random: Random
  signal: AbortSignal
}

/** The samples of one contestant, by round; `failure` says why it takes no further part. */
export interface Measured {
  name: string
  rounds: number[][]
  failure?: string
}

interface Runner extends Measured {
  once(): Promise<number>
  /** In how many rounds it takes part. */
  share: number
}

/** Measures all contestants in turns, each round in another order. One that fails is left out from then on; the others go on. */
export async function interleave(contestants: readonly Contestant[], schedule: Schedule): Promise<Measured[]> {
  const { random, signal } = schedule
  const burst = Math.min(schedule.burst, schedule.samples)
  const count = Math.ceil(schedule.samples / burst)
  const runners: Runner[] = contestants.map((one) => ({ name: one.name, once: () => one.once(), rounds: [], share: count }))
  for (const runner of random.shuffled(runners)) {
    const times = await timed(runner, schedule.warmup, signal)
    if (times.length > 0) runner.share = Math.max(1, Math.min(count, Math.floor(schedule.budgetMs / (median(times) * burst))))
  }
  for (let round = 0; round < count; round++) {
    for (const runner of random.shuffled(runners)) {
      if (runner.failure !== undefined || !hasTurn(round, runner.share, count)) continue
      await delay(schedule.settleMs, undefined, { signal })
      const samples = await burstOf(runner, Math.min(burst, schedule.samples - round * burst), signal)
      if (samples.length > 0) runner.rounds.push(samples)
    }
  }
  return runners.map(({ name, rounds, failure }) => ({ name, rounds, ...(failure === undefined ? {} : { failure }) }))
}

/** Spreads `share` turns evenly over `count` rounds. */
function hasTurn(round: number, share: number, count: number): boolean {
  return Math.floor(((round + 1) * share) / count) > Math.floor((round * share) / count)
}

/** What a run took by the clock, whatever it measures itself: for the share. */
async function timed(runner: Runner, times: number, signal: AbortSignal): Promise<number[]> {
  const taken: number[] = []
  for (let run = 0; run < times && runner.failure === undefined; run++) {
    const startedAt = performance.now()
    const [sample] = await burstOf(runner, 1, signal)
    if (sample !== undefined) taken.push(performance.now() - startedAt)
  }
  return taken
}

async function burstOf(runner: Runner, times: number, signal: AbortSignal): Promise<number[]> {
  const samples: number[] = []
  for (let run = 0; run < times; run++) {
    signal.throwIfAborted()
    try {
      samples.push(await runner.once())
    } catch (error) {
      signal.throwIfAborted()
      runner.failure = (error as Error).message
      return samples
    }
  }
  return samples
}

import { setTimeout as delay } from 'node:timers/promises'
import { SlotpoolError } from './errors.ts'

/** The pause after a first loss. It doubles with each that follows, up to the longest; each is shortened at random by up to half. */
const defaultFirstPauseMs = 100
const longestPauseMs = 10_000

/** A connection that stood for so long was a good one: after it the pauses begin anew. */
const goodAfterMs = 1_000

export interface ReconnectOptions {
  /** The pause after a first loss, in milliseconds. Default 100. */
  firstPauseMs?: number
}

/**
 * Keeps a connection up: `connect` has it for as long as it stands, and is called anew when it was lost, until `signal` aborts. It calls
 * `stands` once it knows that the other end is there. Keeps no process alive by its pauses.
 *
 * @throws a failure that will not pass by itself: one that is no {@link SlotpoolError} or is not retryable.
 */
export async function reconnecting(
  connect: (stands: () => void) => Promise<void>,
  signal: AbortSignal,
  options: ReconnectOptions = {},
): Promise<void> {
  const firstPauseMs = options.firstPauseMs ?? defaultFirstPauseMs
  let losses = 0
  while (!signal.aborted) {
    let stoodAt = Number.POSITIVE_INFINITY
    try {
      await connect(() => {
        stoodAt = performance.now()
      })
    } catch (error) {
      if (signal.aborted) return
      if (!(error instanceof SlotpoolError && error.retryable)) throw error
    }
    if (performance.now() - stoodAt > goodAfterMs) losses = 0
    // Rejects on abort, which ends the loop.
    await delay(pauseAfterLoss(losses++, firstPauseMs), undefined, { signal, ref: false }).catch(() => undefined)
  }
}

/** The pause in milliseconds after so many losses before this one; `chance` is from 0 to 1. */
export function pauseAfterLoss(before: number, firstPauseMs: number, chance = Math.random()): number {
  return Math.min(longestPauseMs, firstPauseMs * 2 ** before) * (0.5 + chance / 2)
}

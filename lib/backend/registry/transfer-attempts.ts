import { setTimeout as delay } from 'node:timers/promises'
import { SlotpoolError } from '../../errors.ts'
import { cancelled } from './registry-errors.ts'

/** After so many attempts in a row that moved nothing, a transfer is given up. */
const fruitlessAttempts = 5
const firstPauseMs = 50

/**
 * Has a transfer go on after its connection was cut, from where it is: `attempt` resolves when it is over, and rejects where it came no further.
 *
 * @param moved how many bytes are over so far.
 */
export async function untilMoved(
  doing: string,
  signal: AbortSignal | undefined,
  moved: () => number,
  attempt: () => Promise<void>,
): Promise<void> {
  // Against all attempts so far: one that begins anew each time, and comes less far than another, comes nowhere.
  let most = moved()
  for (let fruitless = 0; ; ) {
    try {
      return await attempt()
    } catch (error) {
      if (signal?.aborted) throw cancelled(doing, signal.reason)
      // What is wrong with the content or the asking stays wrong.
      if (error instanceof SlotpoolError && !error.retryable) throw error
      fruitless = moved() > most ? 0 : fruitless + 1
      most = Math.max(most, moved())
      if (fruitless === fruitlessAttempts) throw error
      if (fruitless > 0) await delay(firstPauseMs * 2 ** fruitless, undefined, signal ? { signal } : {}).catch(() => {})
    }
  }
}

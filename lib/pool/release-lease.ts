import type { SandboxClient } from '../client/sandbox-client.ts'
import type { Clock } from '../sandbox/clock.ts'
import { isLeaseGone } from './lease-gone.ts'
import { pause } from './pause.ts'
import { isUnreachable } from './silent-container.ts'

/** A server that could not be reached is asked again after this, then after twice as long, for no longer than that in all. */
const firstPauseMs = 100
const triedForMs = 1_000

/**
 * Ends a lease; one that has ended already is no error. To end it twice does no harm, so a connection that breaks is no reason to leave a slot to nobody.
 *
 * @throws {SlotpoolError} `SERVER_UNREACHABLE`, `CANCELLED`.
 */
export async function releaseLease(
  client: SandboxClient,
  leaseId: string,
  clock: Clock,
  signal: AbortSignal = new AbortController().signal,
): Promise<void> {
  const untilMs = clock.now() + triedForMs
  for (let pauseMs = firstPauseMs; ; pauseMs *= 2) {
    try {
      await client.release(leaseId, signal)
      return
    } catch (error) {
      if (isLeaseGone(error)) return
      if (!isUnreachable(error) || clock.now() + pauseMs > untilMs) throw error
    }
    await pause(clock, pauseMs, signal)
  }
}

import { setTimeout as delay } from 'node:timers/promises'
import { SlotpoolError } from '../errors.ts'
import { ownerMismatch } from '../wire/owner-mismatch.ts'
import type { ReadyContainer } from './containers.ts'
import { askForLease, checkAllAnswered, type PlacedLease } from './task-survey.ts'

/**
 * Makes sure that a task has one lease in the whole pool, though any number of managers lease at once and no two containers know of each
 * other.
 *
 * A manager first takes a provisional lease, then looks at every other container: of two managers at work, at least one sees the other's.
 * A confirmed lease wins over a provisional one; of two provisional ones that in the lower container wins, and its manager waits until the
 * other, which will see it, has given way. A provisional lease whose manager died ends by itself within seconds.
 *
 * @throws {SlotpoolError} `SERVER_UNREACHABLE` when no lease was found elsewhere, but some container that lives could not be asked.
 * @returns the lease that stands, or undefined when this one gave way and the whole has to be tried again.
 */
export async function settleLease(
  mine: PlacedLease,
  look: () => Promise<ReadyContainer[]>,
  signal: AbortSignal,
): Promise<PlacedLease | undefined> {
  for (;;) {
    const others = (await look()).filter((one) => one.container.id !== mine.at.container.id)
    const { found: rivals, silent } = await askForLease(others, mine.lease.taskId, signal)
    const winner = rivals.find((one) => !one.lease.provisional)
    if (winner) {
      await giveWay(mine)
      return checkOwner(winner, mine.lease.owner)
    }
    checkAllAnswered(silent, mine.lease.taskId)
    if (rivals.length === 0) return confirm(mine, signal)
    if (rivals.some((one) => one.at.container.index < mine.at.container.index)) {
      // Two managers can share one provisional lease. When the other has confirmed it meanwhile, it stands.
      return (await giveWay(mine)) ? undefined : confirm(mine, signal)
    }
    await delay(10)
  }
}

/** @throws {SlotpoolError} `LEASE_OWNER_MISMATCH`. */
export function checkOwner(placed: PlacedLease, owner: string): PlacedLease {
  if (placed.lease.owner === owner) return placed
  throw ownerMismatch(placed.lease.taskId, placed.lease.owner, owner)
}

/** Undefined when it ended meanwhile: somebody who shared it gave way. */
async function confirm(mine: PlacedLease, signal: AbortSignal): Promise<PlacedLease | undefined> {
  try {
    return { at: mine.at, lease: await mine.at.client.confirm(mine.lease.leaseId, signal) }
  } catch (error) {
    if (isGone(error)) return undefined
    throw error
  }
}

/** Ends a lease unless somebody has confirmed it, who may be using it by now. False when somebody has. */
export async function giveWay(mine: PlacedLease): Promise<boolean> {
  try {
    await mine.at.client.releaseProvisional(mine.lease.leaseId)
    return true
  } catch (error) {
    if (isGone(error)) return true
    if (error instanceof SlotpoolError && error.code === 'LEASE_CONTENDED') return false
    throw error
  }
}

/** Whether a lease has ended, as the server that gave it says. */
export function isGone(error: unknown): boolean {
  return error instanceof SlotpoolError && ['LEASE_LOST', 'LEASE_NOT_FOUND'].includes(error.code)
}

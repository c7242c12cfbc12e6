import type { SlotPool } from 'slotpool'
import type { Contestant } from './interleave.ts'

/** Leases a slot of a pool and gives it back. What is measured is the lease; how long each release took is kept beside it. */
export interface LeaseContestant extends Contestant {
  /** Milliseconds, one for each lease from the first of the warm-up on. */
  released: readonly number[]
}

let tasks = 0

/** `ready` is waited for before each, and not measured. */
export function leaseIn(pool: SlotPool, name: string, ready: () => Promise<void> = async () => {}): LeaseContestant {
  const released: number[] = []
  const once = async (): Promise<number> => {
    await ready()
    const startedAt = performance.now()
    const slot = await pool.lease(`lease-${tasks++}`)
    const leasedAt = performance.now()
    await slot.release()
    released.push(performance.now() - leasedAt)
    return leasedAt - startedAt
  }
  return { name, once, released }
}

import { setTimeout as delay } from 'node:timers/promises'
import { SlotpoolError } from '../lib/errors.ts'

/** For so long Nomad may have room for no container: a node that is drained takes some again by then. */
const patienceMs = 90_000
const pauseMs = 250

/** Does again what failed since Nomad has room for no container, as whoever has a task to get done would: that passes. */
export async function whenPlaced<T>(work: () => Promise<T>): Promise<T> {
  for (const giveUpAt = Date.now() + patienceMs; ; await delay(pauseMs)) {
    try {
      return await work()
    } catch (error) {
      const passes = error instanceof SlotpoolError && error.code === 'NOMAD_PLACEMENT_FAILED' && error.retryable
      if (!passes || Date.now() > giveUpAt) throw error
    }
  }
}

import { setTimeout as delay } from 'node:timers/promises'
import { cancelled, throwIfCancelled } from '../cancelled.ts'

const firstMs = 10
const longestMs = 250
const growth = 1.6

/** Pauses between looks at something that changes by itself: short at first, since most starts take a fraction of a second. */
export class Backoff {
  #nextMs = firstMs

  /** @throws {SlotpoolError} `CANCELLED` when `signal` aborts. */
  async pause(signal?: AbortSignal): Promise<void> {
    throwIfCancelled(signal)
    const ms = this.#nextMs
    this.#nextMs = Math.min(longestMs, ms * growth)
    try {
      await delay(ms, undefined, signal ? { signal } : {})
    } catch (cause) {
      throw cancelled(cause)
    }
  }
}

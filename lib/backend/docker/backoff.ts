import { setTimeout as delay } from 'node:timers/promises'
import { SlotpoolError } from '../../errors.ts'

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

/** @throws {SlotpoolError} `CANCELLED` when `signal` has aborted. */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw cancelled(signal.reason)
}

function cancelled(cause: unknown): SlotpoolError {
  return new SlotpoolError('CANCELLED', 'the caller gave up waiting for a container', { cause })
}

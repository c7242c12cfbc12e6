import { SlotpoolError } from '../errors.ts'

/** @throws {SlotpoolError} `CANCELLED` when `signal` has aborted. */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw cancelled(signal.reason)
}

export function cancelled(cause: unknown): SlotpoolError {
  return new SlotpoolError('CANCELLED', 'the caller gave up waiting', { cause })
}

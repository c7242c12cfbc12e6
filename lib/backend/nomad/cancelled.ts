import { SlotpoolError } from '../../errors.ts'

/** @throws {SlotpoolError} `CANCELLED` when `signal` has aborted. */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new SlotpoolError('CANCELLED', 'the caller gave up waiting for Nomad', { cause: signal.reason })
}

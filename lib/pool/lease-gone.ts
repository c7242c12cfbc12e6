import { SlotpoolError } from '../errors.ts'

/** Whether what was asked under a lease failed because that lease has ended. */
export function isLeaseGone(error: unknown): boolean {
  return error instanceof SlotpoolError && ['LEASE_LOST', 'LEASE_NOT_FOUND'].includes(error.code)
}

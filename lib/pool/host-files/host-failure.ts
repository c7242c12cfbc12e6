import { SlotpoolError } from '../../errors.ts'

/** What goes wrong with a path on the caller's own disk. */
export function hostFailure(error: unknown, path: string): SlotpoolError {
  if (error instanceof SlotpoolError) return error
  const reason = (error as Error).message
  return new SlotpoolError('FILE_FAILED', `could not use ${path} on this machine: ${reason}`, { cause: error, details: { path, reason } })
}

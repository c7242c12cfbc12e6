import { SlotpoolError } from '../errors.ts'

/** The refusal of a task that another owner has leased: the sandbox server's for its own leases, the pool's for those it finds. */
export function ownerMismatch(taskId: string, holder: string, got: string): SlotpoolError {
  return new SlotpoolError(
    'LEASE_OWNER_MISMATCH',
    `task ${taskId} is leased by ${holder}, got owner ${got}; use another task id, or the option owner`,
    { details: { taskId, owner: holder } },
  )
}

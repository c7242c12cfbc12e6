import { inspect } from 'node:util'
import { SlotpoolError } from '../errors.ts'
import { refuseUnknownOptions } from '../unknown-name.ts'
import { taskId as taskIdSchema } from '../wire/lease.ts'
import { type LeaseMetadata, leaseMetadata } from '../wire/metadata.ts'

/** How a slot is asked for. */
export interface LeaseOptions {
  /** How long to wait for a slot where all are leased; 0: not at all. Default: `TERMINAL_TIMEOUT`. */
  waitMs?: number
  /** Renew the lease for as long as this process lives and holds it. Default: true. */
  heartbeat?: boolean
  /** Gives up waiting. */
  signal?: AbortSignal
  /**
   * Noted down with a lease that is made now, and shown in `status`: at most 16 names of letters, digits, `_`, `.` and `-`, each with a text of at
   * most 256 characters. Never a secret. A task that has its lease keeps what that was made with.
   */
  metadata?: LeaseMetadata
}

const optionNames: readonly (keyof LeaseOptions)[] = ['waitMs', 'heartbeat', 'signal', 'metadata']

/** @throws {SlotpoolError} `CONFIG_INVALID` for a name that is none. */
export function checkLeaseOptions(options: LeaseOptions): void {
  refuseUnknownOptions(options, optionNames)
}

/** @throws {SlotpoolError} `CONFIG_INVALID`. */
export function checkWaitMs(waitMs: number): void {
  if (Number.isSafeInteger(waitMs) && waitMs >= 0 && waitMs <= 2_147_483_000) return
  throw new SlotpoolError('CONFIG_INVALID', `option waitMs: got ${waitMs}, expected a whole number from 0 to 2147483000`, {
    details: { variable: 'waitMs', got: waitMs },
  })
}

/** @throws {SlotpoolError} `REQUEST_INVALID`. */
export function checkMetadata(metadata: LeaseMetadata): LeaseMetadata {
  const result = leaseMetadata.safeParse(metadata)
  if (result.success) return result.data
  throw new SlotpoolError('REQUEST_INVALID', `metadata: got ${inspect(metadata, { depth: 1 })}, ${result.error.issues[0]?.message}`)
}

/** @throws {SlotpoolError} `REQUEST_INVALID`. */
export function checkTaskId(taskId: string): void {
  const result = taskIdSchema.safeParse(taskId)
  if (result.success) return
  throw new SlotpoolError('REQUEST_INVALID', `task id: got ${JSON.stringify(taskId)}, ${result.error.issues[0]?.message}`, {
    details: { taskId },
  })
}

import { LinkedAbortController } from '../client/linked-abort-controller.ts'
import { SlotpoolError } from '../errors.ts'
import type { Clock } from '../sandbox/clock.ts'

/** How long one container may take to look into its tables: one that is well answers at once. */
const askTimeoutMs = 3_000

/** A container that lives and could not be asked. */
export interface SilentContainer {
  id: string
  node: string
  error: SlotpoolError
}

/**
 * Asks a container something that it answers at once.
 *
 * @throws {SlotpoolError} what `ask` throws, and `SERVER_UNREACHABLE` when there is no answer for three seconds.
 */
export async function askBriefly<T>(
  ask: (signal: AbortSignal) => Promise<T>,
  signal: AbortSignal,
  clock: Clock,
  timeoutMs = askTimeoutMs,
): Promise<T> {
  using over = new LinkedAbortController(signal)
  let isLate = false
  const stop = clock.after(timeoutMs, () => {
    isLate = true
    over.abort()
  })
  try {
    return await ask(over.signal)
  } catch (error) {
    if (!isLate || signal.aborted || !(error instanceof SlotpoolError) || error.code !== 'CANCELLED') throw error
    throw new SlotpoolError('SERVER_UNREACHABLE', `its sandbox server did not answer within ${timeoutMs / 1000} s`, { cause: error })
  } finally {
    stop()
  }
}

export function isUnreachable(error: unknown): error is SlotpoolError {
  return error instanceof SlotpoolError && error.code === 'SERVER_UNREACHABLE'
}

/** A second slot would be an empty one: the task's files are in its first. */
export function unsure(taskId: string, silent: readonly [SilentContainer, ...SilentContainer[]]): SlotpoolError {
  const [{ id, node, error }] = silent
  return new SlotpoolError(
    'SERVER_UNREACHABLE',
    `task ${taskId} may have its slot in container ${id} on ${node}, which lives but could not be asked, so it gets no other slot: ` +
      error.message,
    { cause: error, details: { taskId, silentContainers: silent.map((one) => one.id) } },
  )
}

/** Whether a task was refused a slot because it may have one where nobody could be asked. */
export function isUnsure(error: unknown): error is SlotpoolError {
  return isUnreachable(error) && 'silentContainers' in error.details
}

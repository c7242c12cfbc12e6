import { SlotpoolError } from '../errors.ts'
import type { Lease } from '../wire/lease.ts'
import type { ReadyContainer } from './containers.ts'

/** How long one container may take to say whether a task has its slot there. It looks into a table: one that is well answers at once. */
const askTimeoutMs = 3_000

/** A lease and the container it is in. */
export interface PlacedLease {
  at: ReadyContainer
  lease: Lease
}

/** A container that lives and could not be asked. */
export interface SilentContainer {
  at: ReadyContainer
  error: SlotpoolError
}

/** What the containers of a pool say of a task. */
export interface TaskSurvey {
  found: PlacedLease[]
  /** The task may have its slot in these. */
  silent: SilentContainer[]
}

/** Asks containers, all at once, for the lease of a task. */
export async function askForLease(containers: readonly ReadyContainer[], taskId: string, signal: AbortSignal): Promise<TaskSurvey> {
  const survey: TaskSurvey = { found: [], silent: [] }
  await Promise.all(
    containers.map(async (at) => {
      const late = AbortSignal.timeout(askTimeoutMs)
      try {
        const lease = await at.client.leaseOfTask(taskId, AbortSignal.any([signal, late]))
        if (lease) survey.found.push({ at, lease })
      } catch (error) {
        if (!(error instanceof SlotpoolError)) throw error
        if (error.code === 'SERVER_UNREACHABLE') survey.silent.push({ at, error })
        else if (error.code === 'CANCELLED' && late.aborted && !signal.aborted) survey.silent.push({ at, error: tooLate(error) })
        else throw error
      }
    }),
  )
  survey.found.sort((a, b) => a.at.container.index - b.at.container.index)
  return survey
}

/**
 * The lease of a task anywhere in the pool.
 *
 * @throws {SlotpoolError} `SERVER_UNREACHABLE` when none was found, but some container that lives could not be asked.
 */
export async function findLease(
  containers: readonly ReadyContainer[],
  taskId: string,
  signal: AbortSignal,
): Promise<PlacedLease | undefined> {
  const { found, silent } = await askForLease(containers, taskId, signal)
  const standing = found.find((one) => !one.lease.provisional)
  if (!standing) checkAllAnswered(silent, taskId)
  return standing
}

/** A second slot would be an empty one: the task's files are in its first. @throws {SlotpoolError} `SERVER_UNREACHABLE`. */
export function checkAllAnswered(silent: readonly SilentContainer[], taskId: string): void {
  const [first] = silent
  if (!first) return
  const { id, node } = first.at.container
  throw new SlotpoolError(
    'SERVER_UNREACHABLE',
    `task ${taskId} may have its slot in container ${id} on ${node}, which lives but could not be asked, so it gets no other slot: ` +
      first.error.message,
    { cause: first.error, details: { taskId, silentContainers: silent.map((one) => one.at.container.id) } },
  )
}

/** Whether a task was refused a slot because it may have one where nobody could be asked. */
export function isUnsure(error: unknown): error is SlotpoolError {
  return error instanceof SlotpoolError && error.code === 'SERVER_UNREACHABLE' && 'silentContainers' in error.details
}

function tooLate(cause: SlotpoolError): SlotpoolError {
  return new SlotpoolError('SERVER_UNREACHABLE', `its sandbox server did not answer within ${askTimeoutMs / 1000} s`, { cause })
}

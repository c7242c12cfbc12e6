import { SlotpoolError } from '../../errors.ts'
import { type AllocationStub, hasEnded, listJobAllocations } from '../../nomad/allocations.ts'
import { waitForEvaluation } from '../../nomad/evaluations.ts'
import { deregisterJob, readJob, setJobStopped } from '../../nomad/jobs.ts'
import { poolGroups } from '../../nomad/pool-groups.ts'
import { throwIfCancelled } from '../cancelled.ts'
import { isLive } from './containers.ts'
import type { Growth } from './grow-pool.ts'
import type { NomadPool } from './nomad-pool.ts'
import { setGroupCount, unlessChanged } from './pool-count.ts'
import { waitUntilRemoved } from './removal.ts'
import { removeAllocation } from './remove-container.ts'
import { retireGrown } from './retire-grown.ts'

/** Taking back is not the caller's to give up, so its requests have a bound of their own. */
const undoWithinMs = 60_000

/** A container that nobody uses ends when it is told to; a busy node adds to that. */
const endWithinMs = 10_000

/**
 * Takes back what a growth changed, then throws `error`, which ended it. What could not be taken back is added to its message.
 *
 * The count of the newest group goes back to what ran before, or to the highest container that may have leases by now (see {@link retireGrown}). A count that
 * another process changed since is that process's, and stays. The group of a change goes also where others changed the rest of the job, and where it cannot go
 * the error says so.
 */
export async function undoGrowth(pool: NomadPool, growth: Growth, error: unknown): Promise<never> {
  if (growth.changedTo === null) {
    await undoToken(pool, AbortSignal.timeout(undoWithinMs)).catch((undoError) => {
      // Where it cannot be taken back, it is found later.
      if (!(undoError instanceof SlotpoolError)) throw undoError
    })
    throw error
  }
  let left: Left
  try {
    left = await undo(pool, growth, growth.changedTo, AbortSignal.timeout(undoWithinMs))
  } catch (undoError) {
    throw extended(error, `taking back what was begun failed too: ${(undoError as Error).message}`, { job: pool.jobId })
  }
  const { ending, stays } = left
  const names = ending.map((one) => one.Name)
  let told = error
  if (names.length > 0) {
    told = extended(told, `Nomad is still ending ${names.join(', ')}: a pull that is under way goes on to its end`, { stillEnding: names })
  }
  if (stays !== undefined) {
    const group = growth.added?.name
    told = extended(told, `group ${group} of job ${pool.jobId} stays the newest, so that the pool grows by it: ${stays}`, { group, stays })
  }
  throw told
}

/**
 * Removes the token that this process made, where there is no job. Another process may register one at this very moment, whose tasks wait for the
 * token: so the job is looked for once more, and whoever registers one looks for the token once more.
 */
async function undoToken(pool: NomadPool, signal: AbortSignal): Promise<void> {
  if ((await readJob(pool.client, pool.jobId, signal)) !== null) return
  await pool.token.undo(signal)
  if ((await readJob(pool.client, pool.jobId, signal)) !== null) await pool.token.ensure(signal)
}

function extended(error: unknown, words: string, details: Record<string, unknown>): SlotpoolError {
  const { code, message, retryable, details: known } = SlotpoolError.from(error)
  return new SlotpoolError(code, `${message}; ${words}`, { cause: error, details: { ...known, ...details }, retryable })
}

/** What could not be taken back. */
interface Left {
  /** Allocations that Nomad has not ended yet, and will. */
  ending: readonly AllocationStub[]
  /** Why the group that was added stays. */
  stays?: string
}

async function undo(pool: NomadPool, growth: Growth, changedTo: number, signal: AbortSignal): Promise<Left> {
  const retired = new Set<string>()
  const leftToOthers = async (stays?: string): Promise<Left> => {
    // The count is theirs, and stays; but what gives no lease any more is of no use to anybody.
    for (const id of retired) await removeAllocation(pool, id, signal)
    return { ending: [], ...(stays === undefined ? {} : { stays }) }
  }
  for (;;) {
    throwIfCancelled(signal)
    // In this order: what changes the job after it was read makes the change below fail.
    const job = await readJob(pool.client, pool.jobId, signal)
    const { value: allocations } = await listJobAllocations(pool.client, pool.jobId, {}, {}, signal)
    const [newest, ...earlier] = poolGroups(job)
    if (job === null || newest === undefined) return leftToOthers()
    const { added } = growth
    if (added === null ? job.JobModifyIndex !== changedTo : newest.name !== added.name) return leftToOthers()
    if (added !== null && newest.count !== added.count) return leftToOthers(`another process gave it a count of ${newest.count}`)
    const grown = allocations.filter((one) => isLive(one) && one.TaskGroup === newest.name)
    const { kept, ids } = await retireGrown(pool, grown, growth.ranBefore, signal)
    for (const id of ids) retired.add(id)
    const goesOn = kept > 0 || earlier.some(({ count }) => count > 0)
    const changed = await unlessChanged(goesOn ? setGroupCount(pool, job, newest.name, kept) : setJobStopped(pool.client, job))
    if (changed === null) {
      if (added === null) return leftToOthers()
      // Of a change the group is this process's, whatever others did to the rest of the job.
      continue
    }
    await waitForEvaluation(pool.client, changed.EvalID, signal)
    if (goesOn) {
      const ending = await stillEnding(pool, (one) => !growth.ranBefore.has(one.ID) && one.DesiredStatus !== 'run', signal)
      return { ending, ...(added !== null && kept > 0 ? { stays: `${kept} of its containers may have leases` } : {}) }
    }
    // Another process that makes the pool again at this moment has containers of its own in the list.
    const ending = await stillEnding(pool, (one) => one.CreateIndex < changed.JobModifyIndex || one.DesiredStatus !== 'run', signal)
    await forgetJob(pool, changed.JobModifyIndex, signal)
    return { ending }
  }
}

/** Forgets the job that this process stopped, and its token, unless somebody made the pool again since. */
async function forgetJob(pool: NomadPool, stoppedAt: number, signal: AbortSignal): Promise<void> {
  const job = await readJob(pool.client, pool.jobId, signal)
  if (job?.JobModifyIndex === stoppedAt) await deregisterJob(pool.client, pool.jobId, { purge: true }, signal)
  await undoToken(pool, signal)
}

async function stillEnding(pool: NomadPool, removed: (one: AllocationStub) => boolean, signal: AbortSignal): Promise<AllocationStub[]> {
  const bound = AbortSignal.timeout(endWithinMs)
  try {
    await waitUntilRemoved(pool, removed, AbortSignal.any([signal, bound]))
    return []
  } catch (error) {
    if (!bound.aborted) throw error
  }
  const { value: allocations } = await listJobAllocations(pool.client, pool.jobId, { everyJobOfThatId: true }, {}, signal)
  return allocations.filter((one) => removed(one) && !hasEnded(one))
}

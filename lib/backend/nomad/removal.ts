import { SlotpoolError } from '../../errors.ts'
import { type AllocationStub, collectAllocation, hasEnded, listJobAllocations, signalAllocation } from '../../nomad/allocations.ts'
import { followQuery } from '../../nomad/blocking-query.ts'
import { waitForEvaluation } from '../../nomad/evaluations.ts'
import { taskName } from '../../nomad/job-spec.ts'
import { deregisterJob, readJob } from '../../nomad/jobs.ts'
import { throwIfCancelled } from '../cancelled.ts'
import { refuseForeignJob } from './foreign-job.ts'
import type { NomadPool } from './nomad-pool.ts'

/** A manager that has a pool of at least one container makes it again; one that is being ended itself does so once. */
const stopsAtMost = 3

/**
 * Stops the job and forgets it, with its token. Resolves when nothing of it runs and its nodes have cleaned up. A job that is not there is fine: an earlier
 * one of that id may have left containers. One that another process makes again meanwhile is stopped again.
 *
 * @throws {SlotpoolError} `NOMAD_CONFLICT` when it is made again and again.
 */
export async function removeJob(pool: NomadPool, signal: AbortSignal): Promise<void> {
  const { client, jobId } = pool
  refuseForeignJob(pool, await readJob(client, jobId, signal))
  for (let stops = 1; ; stops++) {
    await stopJob(pool, signal)
    const { value: all } = await listJobAllocations(client, jobId, { everyJobOfThatId: true }, {}, signal)
    // Not those of who makes the pool again: they run for as long as he likes.
    const stopped = all.filter((one) => hasEnded(one) || one.DesiredStatus !== 'run')
    const ending = stopped.filter((one) => !hasEnded(one)).map((one) => one.ID)
    await endNow(pool, ending, signal)
    const own = new Set(stopped.map((one) => one.ID))
    await waitUntilRemoved(pool, (one) => own.has(one.ID), signal)
    const job = await readJob(client, jobId, signal)
    if (job === null || job.Stop) break
    if (stops === stopsAtMost)
      throw new SlotpoolError(
        'NOMAD_CONFLICT',
        `another process made job ${jobId} again ${stopsAtMost} times while it was being removed: end what uses the pool first`,
        { details: { job: jobId } },
      )
  }
  // Only now: a job that is purged first leaves the nodes to clean up when they find the time.
  await deregisterJob(client, jobId, { purge: true }, signal)
  // Who makes the pool again at this moment looks for the token once more when it has registered the job, and may have found this one.
  await pool.token.remove(async () => (await readJob(client, jobId, signal)) !== null, signal)
}

/** Resolves when Nomad has told the nodes to end what the job has. */
async function stopJob(pool: NomadPool, signal: AbortSignal): Promise<void> {
  await waitForEvaluation(pool.client, await deregisterJob(pool.client, pool.jobId, { purge: false }, signal), signal)
}

/**
 * Resolves when none of the job's allocations that `removed` picks runs any more and their nodes have cleaned up after them. Nomad removes
 * a container before it says that its task is dead, but keeps the allocation's folder and mounts for hours unless asked.
 */
export async function waitUntilRemoved(pool: NomadPool, removed: (one: AllocationStub) => boolean, signal: AbortSignal): Promise<void> {
  const gone = await endedAllocations(pool, removed, signal)
  await Promise.all(gone.map((one) => collect(pool, one, signal)))
}

async function endedAllocations(
  pool: NomadPool,
  removed: (one: AllocationStub) => boolean,
  signal: AbortSignal,
): Promise<AllocationStub[]> {
  const ended = new AbortController()
  const either = AbortSignal.any([signal, ended.signal])
  let chosen: AllocationStub[] = []
  await followQuery(
    // A job that was purged may still have containers.
    (parameters) => listJobAllocations(pool.client, pool.jobId, { everyJobOfThatId: true }, parameters, either),
    (allocations) => {
      chosen = allocations.filter(removed)
      if (chosen.every(hasEnded)) ended.abort()
    },
    either,
  )
  throwIfCancelled(signal)
  return chosen
}

/**
 * Has sandbox servers that Nomad is ending end now: told politely they give running commands time to end. Without the right `alloc-lifecycle`, and
 * where the node does not answer, they take that time.
 */
export async function endNow(pool: NomadPool, ids: readonly string[], signal: AbortSignal): Promise<void> {
  await Promise.all(ids.map((id) => signalAllocation(pool.client, id, taskName, 'SIGINT', signal).catch(() => {})))
  throwIfCancelled(signal)
}

/** A node that is gone has nothing to clean up now, and does so itself when it comes back. */
async function collect(pool: NomadPool, one: AllocationStub, signal: AbortSignal): Promise<void> {
  try {
    await collectAllocation(pool.client, one.ID, signal)
  } catch (error) {
    if (!(error instanceof SlotpoolError && error.code === 'NOMAD_REQUEST_FAILED')) throw error
  }
}

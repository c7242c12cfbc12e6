import { type AllocationStub, allocationIndex, listJobAllocations, stopAllocation } from '../../nomad/allocations.ts'
import { waitForEvaluation } from '../../nomad/evaluations.ts'
import { groupName } from '../../nomad/job-spec.ts'
import { type Job, readJob, setJobCount } from '../../nomad/jobs.ts'
import { throwIfCancelled } from './cancelled.ts'
import { isDead, isLive } from './containers.ts'
import type { NomadPool } from './nomad-pool.ts'
import { unlessChanged } from './pool-count.ts'
import { endNow, waitUntilRemoved } from './removal.ts'

/**
 * Removes one allocation, and no other. Where none that lives has a higher index, the count is lowered with it: Nomad takes the highest away. Else
 * it is stopped, and Nomad puts another in its place.
 *
 * The count is lowered only if nobody changed the job since the allocations were looked at. Who grows the pool at the same time raises it again.
 */
export async function removeAllocation(pool: NomadPool, id: string, signal: AbortSignal): Promise<void> {
  for (let lowered = false; ; ) {
    throwIfCancelled(signal)
    // In this order: what changes the job after it was read makes the change below fail.
    const job = await readJob(pool.client, pool.jobId, signal)
    const { value: all } = await listJobAllocations(pool.client, pool.jobId, {}, {}, signal)
    const target = all.find((one) => one.ID === id)
    if (job === null || job.Stop || target === undefined || !(isLive(target) || isDead(target))) break
    if (lowered || isBelowAnother(target, all)) {
      // Of one that has ended there is nothing to be stopped.
      if (isLive(target)) await waitForEvaluation(pool.client, await stopAllocation(pool.client, id, signal), signal)
      break
    }
    lowered = await lowerCountBy(pool, job, target, all, signal)
  }
  await endNow(pool, [id], signal)
  await waitUntilRemoved(pool, (one) => one.ID === id, signal)
}

function isBelowAnother(target: AllocationStub, all: readonly AllocationStub[]): boolean {
  return all.some((one) => isLive(one) && allocationIndex(one) > allocationIndex(target))
}

/** @returns false when somebody changed the job first. */
async function lowerCountBy(
  pool: NomadPool,
  job: Job,
  target: AllocationStub,
  all: readonly AllocationStub[],
  signal: AbortSignal,
): Promise<boolean> {
  // What failed still takes a place among those that Nomad counts; what failed above the target goes with it.
  const kept = all.filter((one) => (isLive(one) || isDead(one)) && one.ID !== target.ID && allocationIndex(one) <= allocationIndex(target))
  // Without the caller's signal: a change that was given up half-way would leave nobody knowing whether it was made.
  const changed = await unlessChanged(setJobCount(pool.client, job, groupName, kept.length))
  if (changed === null) return false
  await waitForEvaluation(pool.client, changed.EvalID, signal)
  return true
}

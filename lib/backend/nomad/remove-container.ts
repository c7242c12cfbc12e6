import { type AllocationStub, allocationIndex, listJobAllocations, stopAllocation } from '../../nomad/allocations.ts'
import { waitForEvaluation } from '../../nomad/evaluations.ts'
import { type Job, readJob } from '../../nomad/jobs.ts'
import { throwIfCancelled } from '../cancelled.ts'
import { isDead, isLive } from './containers.ts'
import type { NomadPool } from './nomad-pool.ts'
import { setGroupCount, unlessChanged } from './pool-count.ts'
import { endNow, waitUntilRemoved } from './removal.ts'

/**
 * Removes one allocation, and no other. Where none of its group that lives has a higher index, the count is lowered with it: Nomad takes the highest
 * away. Else it is stopped, and Nomad puts another in its place. An earlier group goes with the last of its containers.
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
    const group = all.filter((one) => one.TaskGroup === target.TaskGroup)
    // Its whole group went: Nomad ends what is left of it.
    if (!job.TaskGroups.some(({ Name }) => Name === target.TaskGroup)) break
    if (lowered || isBelowAnother(target, group)) {
      // Of one that has ended there is nothing to be stopped.
      if (isLive(target)) await waitForEvaluation(pool.client, await stopAllocation(pool.client, id, signal), signal)
      break
    }
    lowered = await lowerCountBy(pool, job, target, group, signal)
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
  group: readonly AllocationStub[],
  signal: AbortSignal,
): Promise<boolean> {
  // What failed still takes a place among those that Nomad counts; what failed above the target goes with it.
  const kept = group.filter(
    (one) => (isLive(one) || isDead(one)) && one.ID !== target.ID && allocationIndex(one) <= allocationIndex(target),
  )
  // Without the caller's signal: a change that was given up half-way would leave nobody knowing whether it was made.
  const changed = await unlessChanged(setGroupCount(pool, job, target.TaskGroup, kept.length))
  if (changed === null) return false
  await waitForEvaluation(pool.client, changed.EvalID, signal)
  return true
}

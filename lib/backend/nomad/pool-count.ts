import { SlotpoolError } from '../../errors.ts'
import { groupName, poolJobSpec } from '../../nomad/job-spec.ts'
import { type Job, jobCount, type Registered, readJob, registerJob, setJobCount } from '../../nomad/jobs.ts'
import { throwIfCancelled } from './cancelled.ts'
import type { NomadPool } from './nomad-pool.ts'

/**
 * Raises the pool's count to `count`, making the job where there is none, and never lowers it. Several processes may do so at once: each
 * change is made only to what was read, so the largest count wins and nobody overshoots.
 *
 * @returns what the change gave, or null when the count was high enough.
 */
export async function raiseCount(pool: NomadPool, count: number, signal: AbortSignal): Promise<Registered | null> {
  for (;;) {
    throwIfCancelled(signal)
    const job = await readJob(pool.client, pool.jobId, signal)
    if (jobCount(job, groupName) >= count) return null
    // Before the job: its task waits for the token.
    await pool.token.ensure(signal)
    const registered = await unlessChanged(register(pool, job, count))
    if (registered !== null) return registered
  }
}

/** Sets the count of a job that is still as `modifyIndex` says; null when somebody changed it since or it is gone. */
export async function lowerCount(pool: NomadPool, count: number, modifyIndex: number, signal: AbortSignal): Promise<Registered | null> {
  const job = await readJob(pool.client, pool.jobId, signal)
  if (job === null || job.Stop || job.JobModifyIndex !== modifyIndex) return null
  return unlessChanged(setJobCount(pool.client, job, groupName, count, signal))
}

/** Without the caller's signal: a change that was given up half-way would leave nobody knowing whether it was made. */
function register(pool: NomadPool, job: Job | null, count: number): Promise<Registered> {
  // One that was stopped or has none has no shape that counts, so it is made anew, as this process would have it.
  if (jobCount(job, groupName) === 0) {
    return registerJob(pool.client, poolJobSpec({ ...pool.job, count }), job?.JobModifyIndex ?? 0)
  }
  return setJobCount(pool.client, job as Job, groupName, count)
}

/** Null when somebody else changed the job first. */
export async function unlessChanged<T>(change: Promise<T>): Promise<T | null> {
  try {
    return await change
  } catch (error) {
    if (error instanceof SlotpoolError && error.code === 'NOMAD_CONFLICT') return null
    throw error
  }
}

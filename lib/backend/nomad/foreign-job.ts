import { SlotpoolError } from '../../errors.ts'
import { generationOf } from '../../nomad/job-spec.ts'
import type { Job } from '../../nomad/jobs.ts'
import type { NomadPool } from './nomad-pool.ts'

/** Somebody else's job may only happen to be called so. @throws {SlotpoolError} `POOL_CONFIG_MISMATCH` for one that is not this pool's. */
export function refuseForeignJob({ jobId, job: { pool } }: Pick<NomadPool, 'jobId' | 'job'>, job: Job | null): void {
  if (job === null || job.Meta?.slotpool_pool === pool) return
  throw new SlotpoolError(
    'POOL_CONFIG_MISMATCH',
    `Nomad has a job ${jobId} that is not one of pool ${pool} (its meta has no slotpool_pool = ${JSON.stringify(pool)}); ` +
      'expected none: choose another TERMINAL_POOL, or remove that job',
    { details: { job: jobId } },
  )
}

/** Groups that somebody added to the job by hand: they are none of the pool's, and stay. */
export function groupsByHand(job: Job | null): Job['TaskGroups'] {
  if (job === null || job.Stop) return []
  return job.TaskGroups.filter(({ Name }) => generationOf(Name) === undefined)
}

import { generationOf } from './job-spec.ts'
import type { Job } from './jobs.ts'

/** One group of a pool's job: containers that are all made alike. */
export interface PoolGroup {
  name: string
  generation: number
  count: number
  meta: Readonly<Record<string, string>> | null
}

/** The groups of a pool's job, the newest first; none when it was stopped. What somebody added that is not the pool's is left out. */
export function poolGroups(job: Job | null): PoolGroup[] {
  if (job === null || job.Stop) return []
  return job.TaskGroups.flatMap(({ Name: name, Count: count, Meta: meta }): PoolGroup[] => {
    const generation = generationOf(name)
    return generation === undefined ? [] : [{ name, generation, count, meta: meta ?? null }]
  }).sort((a, b) => b.generation - a.generation)
}

/** How many containers the job is to have, in all of its groups. */
export function poolCount(job: Job | null): number {
  return poolGroups(job).reduce((sum, { count }) => sum + count, 0)
}

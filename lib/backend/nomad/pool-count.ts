import { SlotpoolError } from '../../errors.ts'
import { type AllocationStub, listJobAllocations } from '../../nomad/allocations.ts'
import { groupNameOf, noDeployments, type PoolJob, poolGroupSpec, poolJobSpec } from '../../nomad/job-spec.ts'
import { type Job, type Registered, readJob, registerJob, setJobGroups } from '../../nomad/jobs.ts'
import { poolCount, poolGroups } from '../../nomad/pool-groups.ts'
import { throwIfCancelled } from '../cancelled.ts'
import { refuseOtherChange } from '../pool-version.ts'
import { isLive } from './containers.ts'
import { groupsByHand, refuseForeignJob } from './foreign-job.ts'
import { groupVersion } from './group-version.ts'
import { checkDrivers } from './node-drivers.ts'
import type { NomadPool } from './nomad-pool.ts'

/** What a change of the count gave. */
export interface CountChange extends Registered {
  /** The newest group, and its count from then on. */
  newest: { name: string; count: number }
  /** Whether that group was added beside others. */
  added: boolean
}

/**
 * Raises the pool's count to `count`, making the job where there is none, and never lowers it. Several processes may do so at once: each
 * change is made only to what was read, so the largest count wins and nobody overshoots. What is added is of the newest group; of those before it
 * what lives counts, and one in which nothing lives is left out from then on.
 *
 * @returns what the change gave, or null when the count was high enough.
 */
export async function raiseCount(pool: NomadPool, count: number, signal: AbortSignal): Promise<CountChange | null> {
  for (;;) {
    throwIfCancelled(signal)
    const job = await readJob(pool.client, pool.jobId, signal)
    refuseForeignJob(pool, job)
    const [newest, ...earlier] = poolGroups(job)
    const live = earlier.length === 0 ? [] : (await listJobAllocations(pool.client, pool.jobId, {}, {}, signal)).value.filter(isLive)
    const before = live.filter((one) => earlier.some(({ name }) => name === one.TaskGroup))
    if (poolCount(job) > 0 && (newest?.count ?? 0) + before.length >= count) return null
    if (poolCount(job) === 0) await checkDrivers(pool, signal)
    // Before the job: its task waits for the token.
    await pool.token.ensure(signal)
    // One that was stopped or has none has no shape that counts, so it is made anew, as this process would have it.
    const anew = poolCount(job) === 0 || job === null || newest === undefined
    const after = anew ? { name: groupNameOf(pool.job.generation ?? 0), count } : { name: newest.name, count: count - before.length }
    const registered = await unlessChanged(
      anew
        ? registerJob(pool.client, anewBeside(poolJobSpec({ ...pool.job, count }), groupsByHand(job)), job?.JobModifyIndex ?? 0)
        : setNewest(pool, job, after.count, before),
    )
    if (registered !== null) return { ...registered, newest: after, added: false }
  }
}

function anewBeside(spec: ReturnType<typeof poolJobSpec>, others: Job['TaskGroups']): ReturnType<typeof poolJobSpec> {
  return others.length === 0 ? spec : { ...spec, TaskGroups: [...others, ...(spec.TaskGroups as unknown[])] }
}

/** Without the caller's signal: a change that was given up half-way would leave nobody knowing whether it was made. */
function setNewest(pool: NomadPool, job: Job, count: number, before: readonly AllocationStub[]): Promise<Registered> {
  const [newest, ...earlier] = poolGroups(job)
  const over = earlier.filter(({ name }) => !before.some((one) => one.TaskGroup === name)).map(({ name }) => name)
  const groups = job.TaskGroups.filter(({ Name }) => !over.includes(Name))
  return setJobGroups(
    pool.client,
    job,
    groups.map((one) => (one.Name === newest?.name ? { ...one, Count: count } : one)),
  )
}

/**
 * Adds a group with one container to a job; groups in which nothing lives are left out from then on.
 *
 * @returns null when another process added the same one.
 * @throws {SlotpoolError} `POOL_CONFIG_MISMATCH` when another process added another one.
 */
export async function addGroup(pool: NomadPool, spec: PoolJob, id: string, signal: AbortSignal): Promise<CountChange | null> {
  const own = { id, generation: spec.generation ?? 0 }
  for (;;) {
    throwIfCancelled(signal)
    const job = await readJob(pool.client, pool.jobId, signal)
    refuseForeignJob(pool, job)
    const [newest] = poolGroups(job)
    // It was taken down meanwhile: it is made anew, as this process would have it.
    if (job === null || newest === undefined || poolCount(job) === 0) return raiseCount({ ...pool, job: spec }, 1, signal)
    const version = groupVersion(newest)
    refuseOtherChange(pool.job.pool, version, own)
    if (newest.generation === own.generation) return null
    await pool.token.ensure(signal)
    const { priority } = spec.placement
    const { value: allocations } = await listJobAllocations(pool.client, pool.jobId, {}, {}, signal)
    const kept = poolGroups(job).filter(({ name }) => allocations.some((one) => one.TaskGroup === name && isLive(one)))
    const stay = job.TaskGroups.filter(({ Name }) => kept.some(({ name }) => name === Name))
    const groups = [...groupsByHand(job), ...stay, poolGroupSpec(spec)]
    // What Nomad has of the job's own update it does not hand on to a group that comes later.
    const ofAll = { Update: noDeployments, ...(priority ? { Priority: priority } : {}) }
    const registered = await unlessChanged(setJobGroups(pool.client, { ...job, ...ofAll }, groups))
    if (registered !== null) return { ...registered, newest: { name: groupNameOf(own.generation), count: spec.count }, added: true }
  }
}

/** Sets the count of one group. One that has none then goes, where others have any. */
export function setGroupCount(pool: NomadPool, job: Job, group: string, count: number): Promise<Registered> {
  const others = poolGroups(job).some((one) => one.name !== group && one.count > 0)
  const groups = job.TaskGroups.flatMap((one) => (one.Name !== group ? [one] : count > 0 || !others ? [{ ...one, Count: count }] : []))
  return setJobGroups(pool.client, job, groups)
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

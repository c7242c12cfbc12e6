import { type AllocationStub, listJobAllocations } from '../../nomad/allocations.ts'
import type { Registered } from '../../nomad/jobs.ts'
import { replaceFailed } from '../../nomad/jobs.ts'
import { throwIfCancelled } from './cancelled.ts'
import { isDead, isLive } from './containers.ts'
import type { NomadPool } from './nomad-pool.ts'
import { placementProblem } from './placement-problem.ts'
import { raiseCount } from './pool-count.ts'
import { PoolWatch } from './pool-watch.ts'
import { Readiness } from './readiness.ts'
import { startFailure } from './start-failure.ts'
import { undoGrowth } from './undo-growth.ts'

/** What a growth changed, for taking it back. */
export interface Growth {
  /** The allocations that ran when it began: whoever uses them must not lose them. */
  readonly ranBefore: ReadonlySet<string>
  /** The job's index after this process changed its count the last time; null while it did not. */
  changedTo: number | null
}

/**
 * Makes the pool have `count` containers that answer. What fails is known from Nomad as soon as Nomad knows it, and taken back.
 *
 * @throws {SlotpoolError} `NOMAD_PLACEMENT_FAILED`, `NOMAD_TASK_FAILED`, `IMAGE_NOT_FOUND`, `IMAGE_PULL_FAILED`, `SERVER_UNREACHABLE`, the error
 *   with which a sandbox server ended, `CANCELLED`, or a failure of Nomad's API.
 */
export async function growPool(pool: NomadPool, count: number, signal: AbortSignal): Promise<void> {
  throwIfCancelled(signal)
  const { value: before } = await listJobAllocations(pool.client, pool.jobId, {}, {}, signal)
  const growth: Growth = {
    ranBefore: new Set(before.filter((one) => isLive(one) && one.ClientStatus === 'running').map((one) => one.ID)),
    changedTo: null,
  }
  try {
    await grow(pool, count, before, growth, signal)
  } catch (error) {
    await undoGrowth(pool, growth, error)
  }
}

async function grow(pool: NomadPool, count: number, before: readonly AllocationStub[], growth: Growth, signal: AbortSignal): Promise<void> {
  const ensureCount = async (): Promise<Registered | null> => {
    const registered = await raiseCount(pool, count, signal)
    if (registered !== null) growth.changedTo = registered.JobModifyIndex
    return registered
  }
  const registered = await ensureCount()
  let awaited = registered?.EvalID
  const dead = new Set(before.filter(isDead).map((one) => one.ID))
  if (dead.size > 0 && before.filter(isLive).length < count) {
    // Their tasks wait for the token as well, and a job that was there already says nothing about it.
    await pool.token.ensure(signal)
    awaited = (await replaceFailed(pool.client, pool.jobId, signal)).EvalID
  }

  await using watch = new PoolWatch(pool)
  await using readiness = new Readiness(pool, () => watch.touch())
  for (;;) {
    await watch.changed(signal)
    throwIfCancelled(signal)
    const live = watch.allocations.filter(isLive)
    const running = live.filter((one) => one.ClientStatus === 'running')
    if (readiness.answering(running) >= count) return
    await readiness.follow(live, signal)
    // Only what this growth needs is its failure: others may be growing the pool further.
    if (live.length >= count) continue
    const failed = watch.allocations.find((one) => isDead(one) && !dead.has(one.ID))
    if (failed !== undefined) throw await startFailure(pool, failed, signal)
    const problem = placementProblem(watch.evaluations, pool.jobId, awaited)
    if (problem !== null) throw problem
    // Another process may have taken back its own growth, and with it containers that this one waits for.
    awaited = (await ensureCount())?.EvalID ?? awaited
  }
}

import { SlotpoolError } from '../../errors.ts'
import { type AllocationStub, listJobAllocations, serverRuns } from '../../nomad/allocations.ts'
import { groupNameOf, type PoolJob } from '../../nomad/job-spec.ts'
import type { Registered } from '../../nomad/jobs.ts'
import { replaceFailed } from '../../nomad/jobs.ts'
import { throwIfCancelled } from '../cancelled.ts'
import { endedByItself, isLive, isOfPool } from './containers.ts'
import { withNodes } from './node-drivers.ts'
import type { NomadPool } from './nomad-pool.ts'
import { placementProblem } from './placement-problem.ts'
import { addGroup, type CountChange, raiseCount } from './pool-count.ts'
import { PoolWatch } from './pool-watch.ts'
import { PullNotices } from './pull-notices.ts'
import { Readiness } from './readiness.ts'
import { reapLeftovers } from './reap-leftovers.ts'
import { startFailure } from './start-failure.ts'
import { undoGrowth } from './undo-growth.ts'

/** What a growth changed, for taking it back. */
export interface Growth {
  /** The allocations that ran when it began: whoever uses them must not lose them. */
  readonly ranBefore: ReadonlySet<string>
  /** The job's index after this process changed its count the last time; null while it did not. */
  changedTo: number | null
  /** The group that this process added to change the pool, with the count that it last gave it; null where it only made the pool larger. */
  added: { name: string; count: number } | null
}

/**
 * Makes the pool have `count` containers that answer. What fails is known from Nomad as soon as Nomad knows it, and taken back.
 *
 * @throws {SlotpoolError} `NOMAD_PLACEMENT_FAILED`, `NOMAD_TASK_FAILED`, `IMAGE_NOT_FOUND`, `IMAGE_PULL_FAILED`, `SERVER_UNREACHABLE`, the error
 *   with which a sandbox server ended, `CANCELLED`, or a failure of Nomad's API.
 */
export function growPool(pool: NomadPool, count: number, signal: AbortSignal): Promise<void> {
  return growBy(pool, () => count, signal)
}

/**
 * Begins to change the pool: makes one container of a group of its own, beside those of other groups, and takes that group back when it does not come to
 * serve. Where another process began the same, it is waited for.
 *
 * @throws {SlotpoolError} as {@link growPool}; `POOL_CONFIG_MISMATCH` when another process changed the pool to something else meanwhile.
 */
export function growByGroup(pool: NomadPool, spec: PoolJob, id: string, signal: AbortSignal): Promise<void> {
  const own = groupNameOf(spec.generation ?? 0)
  const countFor = (live: readonly AllocationStub[]) => live.filter((one) => one.TaskGroup !== own).length + 1
  return growBy({ ...pool, job: spec }, countFor, signal, () => addGroup(pool, spec, id, signal))
}

async function growBy(
  pool: NomadPool,
  countFor: (live: readonly AllocationStub[]) => number,
  signal: AbortSignal,
  begin?: () => Promise<CountChange | null>,
): Promise<void> {
  throwIfCancelled(signal)
  const before = (await listJobAllocations(pool.client, pool.jobId, {}, {}, signal)).value.filter(isOfPool)
  const growth: Growth = {
    ranBefore: new Set(before.filter((one) => isLive(one) && serverRuns(one)).map((one) => one.ID)),
    changedTo: null,
    added: null,
  }
  try {
    await grow(pool, countFor(before.filter(isLive)), before, growth, signal, begin)
  } catch (error) {
    await undoGrowth(pool, growth, error)
  }
}

async function grow(
  pool: NomadPool,
  count: number,
  before: readonly AllocationStub[],
  growth: Growth,
  signal: AbortSignal,
  begin: (() => Promise<CountChange | null>) | undefined,
): Promise<void> {
  const noted = async (change: Promise<CountChange | null>): Promise<CountChange | null> => {
    const registered = await change
    if (registered === null) return null
    growth.changedTo = registered.JobModifyIndex
    if (registered.added || registered.newest.name === growth.added?.name) growth.added = registered.newest
    // Until there was a job, others might take the token for nobody's and remove it; its tasks would wait for it for ever.
    await pool.token.ensure(signal)
    return registered
  }
  const ensureCount = (): Promise<CountChange | null> => noted(raiseCount(pool, count, signal))
  const registered = await (begin ? noted(begin()) : ensureCount())
  const isNew = registered !== null && before.length === 0
  const reaping = isNew ? reapLeftovers(pool, signal) : undefined
  try {
    const dead = new Set(before.filter(endedByItself).map((one) => one.ID))
    // Nomad replaces neither what failed nor what ended well unless it has reason to look. What a change adds replaces nothing.
    const isShort = (registered === null || (!begin && dead.size > 0)) && before.filter(isLive).length < count
    const replacing = isShort ? await replaceDead(pool, signal) : undefined
    const pulls = new PullNotices(pool.notice, before)
    await untilServed(
      pool,
      { count, live: before.filter(isLive).length, ensureCount, dead, pulls, awaited: replacing ?? registered?.EvalID },
      signal,
    )
  } finally {
    await reaping
  }
}

/** @returns the id of the evaluation that does it. */
async function replaceDead(pool: NomadPool, signal: AbortSignal): Promise<string> {
  // Their tasks wait for the token as well, and a job that was there already says nothing about it.
  await pool.token.ensure(signal)
  return (await replaceFailed(pool.client, pool.jobId, signal)).EvalID
}

/** What a growth waits for. */
interface Wait {
  count: number
  /** How many lived when it began. */
  live: number
  ensureCount(): Promise<Registered | null>
  /** Those that had ended before it began. */
  dead: ReadonlySet<string>
  pulls: PullNotices
  /** The evaluation of its own change. */
  awaited: string | undefined
}

async function untilServed(pool: NomadPool, wait: Wait, signal: AbortSignal): Promise<void> {
  const { count, ensureCount, dead, pulls, awaited } = wait
  await using watch = new PoolWatch(pool)
  await using readiness = new Readiness(pool, () => watch.touch())
  for (let own = awaited; ; ) {
    await watch.changed(signal)
    throwIfCancelled(signal)
    pulls.look(watch.allocations)
    const live = watch.allocations.filter(isLive)
    const running = live.filter(serverRuns)
    if (readiness.answering(running) >= count) return
    await readiness.follow(live, signal)
    // Only what this growth needs is its failure: others may be growing the pool further.
    if (live.length >= count) continue
    const failed = watch.allocations.find((one) => endedByItself(one) && !dead.has(one.ID))
    if (failed !== undefined) throw await startFailure(pool, failed, signal)
    const problem = placementProblem(watch.evaluations, pool.jobId, own, pool.job.driver)
    if (problem !== null) throw withBounds(await withNodes(pool, problem, signal), wait, live.length)
    // Another process may have taken back its own growth or removed what it grew, and with it containers that this one waits for.
    own = (await ensureCount())?.EvalID ?? own
  }
}

/** Says how many containers there were before, and how many there may be of those that were wanted: so many can be asked for. */
function withBounds(problem: SlotpoolError, { count: wanted, live }: Wait, now: number): SlotpoolError {
  const { code, message, retryable, details } = problem
  const missing = typeof details.missing === 'number' ? details.missing : wanted
  const placeable = Math.min(wanted, Math.max(now, wanted - missing))
  return new SlotpoolError(code, message, { cause: problem.cause, retryable, details: { ...details, wanted, live, placeable } })
}

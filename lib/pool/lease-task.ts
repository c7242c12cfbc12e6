import { setTimeout as delay } from 'node:timers/promises'
import type { Backend } from '../backend/backend.ts'
import type { Config } from '../config.ts'
import { SlotpoolError } from '../errors.ts'
import { askForSlot } from './ask-for-slot.ts'
import type { Containers, Look, ReadyContainer } from './containers.ts'
import type { Growth } from './growth.ts'
import { checkOwner, giveWay, isGone, settleLease } from './settle-lease.ts'
import { findLease, isUnsure, type PlacedLease } from './task-survey.ts'
import { turnOrAbort, type WaitingLine } from './waiting-line.ts'

/** How long one look-out for an idle slot lasts; then the containers are listed anew, for some may have come or gone. */
const lookOutMs = 5_000

const noServerPauseMs = 100

/** How soon a container that could not be asked is asked again. */
const unsurePauseMs = 250

export interface LeaseContext {
  config: Config
  backend: Backend
  containers: Containers
  line: WaitingLine
  growth: Growth
  /** Takes work that goes on when the task has its lease, or gave up: what must be done before it is asked for again. */
  later: (work: Promise<void>) => void
}

/**
 * The lease of a task: the one it has, wherever it is in the pool, or a new one in the lowest container with an idle slot. Who finds the
 * pool full makes it grow up to `max`, then waits in line until `signal` or `deadline` is aborted. The deadline is for that alone: a slot
 * that is there is had however short it is.
 *
 * @throws {SlotpoolError} `SERVER_UNREACHABLE` when until the deadline some container could not be asked that may have the task's slot.
 */
export async function leaseTask(context: LeaseContext, taskId: string, signal: AbortSignal, deadline: AbortSignal): Promise<PlacedLease> {
  const either = AbortSignal.any([signal, deadline])
  let unsure: SlotpoolError | undefined
  for (;;) {
    try {
      return await tryToLease(context, taskId, signal, either)
    } catch (error) {
      if (isUnsure(error)) unsure = error
      else throw unsure && deadline.aborted && isCancelled(error) && !signal.aborted ? unsure : error
    }
    await delay(unsurePauseMs, undefined, { signal: either }).catch(() => {})
    if (signal.aborted) throw new SlotpoolError('CANCELLED', 'gave up waiting for a slot', { cause: signal.reason })
    if (deadline.aborted) throw unsure
  }
}

async function tryToLease(context: LeaseContext, taskId: string, signal: AbortSignal, either: AbortSignal): Promise<PlacedLease> {
  const { containers, line, config } = context
  const look = await containers.look(signal)
  const found = await findLease(look.served, taskId, signal)
  const standing = found && (await renewed(checkOwner(found, config.owner), config))
  if (standing) return standing
  // Whoever waits already comes first.
  let begun: Promise<void> | undefined
  if (line.length === 0) {
    const placed = await place(context, look.ready, taskId, signal)
    if (placed) return placed
    // However short this caller waits: the next one may find the container that it began.
    begun = makeRoom(context, look)
    begun?.catch(() => {})
  }
  return line.inTurn(either, async () => {
    for (;;) {
      const look = await containers.look(either)
      const placed = await place(context, look.ready, taskId, either)
      if (placed) return placed
      await room(begun ?? makeRoom(context, look), look.ready, either)
      begun = undefined
    }
  })
}

/** Takes a slot in the first container that has one; undefined when none has. */
async function place(
  context: LeaseContext,
  ready: readonly ReadyContainer[],
  taskId: string,
  signal: AbortSignal,
): Promise<PlacedLease | undefined> {
  const { config, containers } = context
  // A pool that can never have a second container needs no look at the others: its one server settles everything.
  const provisional = config.max > 1
  for (const at of ready) {
    let taken: PlacedLease
    try {
      const { lease } = await askForSlot(
        at.client,
        { taskId, owner: config.owner, ttlMs: config.lifetimeMs, provisional },
        signal,
        context.later,
      )
      taken = { at, lease }
    } catch (error) {
      if (error instanceof SlotpoolError && ['SLOT_UNAVAILABLE', 'SERVER_UNREACHABLE'].includes(error.code)) continue
      throw error
    }
    if (!taken.lease.provisional) return taken
    const settled = await settleLease(taken, async () => (await containers.look(signal)).served, signal).catch(async (error) => {
      await giveWay(taken).catch(() => {})
      throw error
    })
    const standing = settled && (await renewed(settled, config))
    return standing ?? place(context, (await containers.look(signal)).ready, taskId, signal)
  }
  return undefined
}

function isCancelled(error: unknown): boolean {
  return error instanceof SlotpoolError && error.code === 'CANCELLED'
}

/** Counts the lease's lifetime from now, as long as this caller wants it. Undefined when somebody has released it meanwhile. */
async function renewed({ at, lease }: PlacedLease, config: Config): Promise<PlacedLease | undefined> {
  try {
    return { at, lease: await at.client.renew(lease.leaseId, config.lifetimeMs) }
  } catch (error) {
    if (isGone(error)) return undefined
    throw error
  }
}

/** Begins to grow the pool by what those in line need, in one step. Undefined when it is as large as it may get. */
function makeRoom({ config, line, growth }: LeaseContext, { all }: Look): Promise<void> | undefined {
  const live = all.filter((one) => one.state !== 'dead').length
  if (live >= config.max) return undefined
  const needed = live + Math.ceil(Math.max(1, line.length) / config.slots)
  return growth.begin(Math.min(config.max, Math.max(config.min, needed)))
}

/** Resolves when the pool has grown or some container has an idle slot, whichever is first, or it is time to look again. */
async function room(growing: Promise<void> | undefined, ready: readonly ReadyContainer[], signal: AbortSignal): Promise<void> {
  if (!growing) return idleSlot(ready, signal)
  if (ready.length === 0) return turnOrAbort(growing, signal)
  const enough = new AbortController()
  try {
    await Promise.race([growing, idleSlot(ready, AbortSignal.any([signal, enough.signal]))])
  } finally {
    enough.abort()
  }
}

/** Resolves when some container has an idle slot, or it is time to look which containers there are. */
async function idleSlot(ready: readonly ReadyContainer[], signal: AbortSignal): Promise<void> {
  const enough = new AbortController()
  const either = AbortSignal.any([signal, enough.signal])
  try {
    const looks = ready.map(async ({ client }) => {
      if ((await client.idle(lookOutMs, either)) === 0) throw new Error('none')
    })
    // With none that could be asked, a look at the containers would follow the last without a pause.
    await Promise.any(looks).catch(() => delay(noServerPauseMs, undefined, { signal }).catch(() => {}))
  } finally {
    enough.abort()
  }
  if (signal.aborted) throw new SlotpoolError('CANCELLED', 'gave up waiting for a slot', { cause: signal.reason })
}

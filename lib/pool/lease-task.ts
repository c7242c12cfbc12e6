import { setTimeout as delay } from 'node:timers/promises'
import type { Backend } from '../backend/backend.ts'
import type { Config } from '../config.ts'
import { SlotpoolError } from '../errors.ts'
import type { AgreedRoster } from './agree-on-roster.ts'
import type { Containers, Look, ReadyContainer } from './containers.ts'
import type { Growth } from './growth.ts'
import { LeaseByRoster, type PlacedLease, RosterDoubted } from './lease-by-roster.ts'
import type { PoolRoster } from './pool-roster.ts'
import { isUnsure, unsure as unsureOf } from './silent-container.ts'
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
  roster: PoolRoster
  line: WaitingLine
  growth: Growth
  /** Takes work that goes on when the task has its lease, or gave up: what must be done before it is asked for again. */
  later: (work: Promise<void>) => void
}

/**
 * The lease of a task: the one it has, wherever it is in the pool, or a new one. Who finds the pool full makes it grow up to `max`, then waits
 * in line until `signal` or `deadline` is aborted. The deadline is for that alone: a slot that is there is had however short it is.
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
  const { line } = context
  let begun: Promise<void> | undefined
  // Whoever waits already comes first.
  if (line.length > 0) {
    const found = await byRoster(context, taskId, signal, (way) => way.find())
    if (found) return found
  } else {
    const { placed, look } = await takeIn(context, taskId, signal)
    if (placed) return placed
    // However short this caller waits: the next one may find the container that it began.
    begun = makeRoom(context, look)
    begun?.catch(() => {})
  }
  return line.inTurn(either, async () => {
    for (;;) {
      const { placed, look } = await takeIn(context, taskId, either)
      if (placed) return placed
      await room(begun ?? makeRoom(context, look), look.ready, either)
      begun = undefined
    }
  })
}

/** A slot in any of the containers that there are; without one, the containers that were full. */
async function takeIn(
  context: LeaseContext,
  taskId: string,
  signal: AbortSignal,
): Promise<{ placed: PlacedLease; look?: undefined } | { placed?: undefined; look: Look }> {
  const { containers, roster, later } = context
  for (;;) {
    const placed = await byRoster(context, taskId, signal, (way) => way.take(later))
    if (placed) return { placed }
    const look = await containers.look(signal)
    if (look.ready.length === 0 || roster.covers(look)) return { look }
  }
}

/**
 * What comes of `work` by the roster in force. Undefined when there are no containers.
 *
 * @throws {SlotpoolError} `SERVER_UNREACHABLE` when a container could not be asked that may have the task's slot.
 */
export async function byRoster<T>(
  { config, roster }: Pick<LeaseContext, 'config' | 'roster'>,
  taskId: string,
  signal: AbortSignal,
  work: (way: LeaseByRoster) => Promise<T | undefined>,
): Promise<T | undefined> {
  const terms = { taskId, owner: config.owner, lifetimeMs: config.lifetimeMs }
  let last: { roster: AgreedRoster; doubted: RosterDoubted } | undefined
  for (;;) {
    const { roster: current, silent } = await roster.get(signal)
    const [first, ...others] = silent
    if (!current) {
      if (first) throw unsureOf(taskId, [first, ...others])
      return undefined
    }
    // Asked anew, and still it is a member: it lives.
    if (last?.roster.id === current.id && last.doubted.silent) throw unsureOf(taskId, [last.doubted.silent])
    try {
      return await work(new LeaseByRoster(current, terms, signal))
    } catch (error) {
      if (!(error instanceof RosterDoubted)) throw error
      roster.doubt(current, error.refusedBy)
      last = { roster: current, doubted: error }
    }
  }
}

function isCancelled(error: unknown): boolean {
  return error instanceof SlotpoolError && error.code === 'CANCELLED'
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

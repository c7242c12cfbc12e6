import type { Backend } from '../backend/backend.ts'
import { LinkedAbortController } from '../client/linked-abort-controller.ts'
import type { Config } from '../config.ts'
import { SlotpoolError } from '../errors.ts'
import type { LeaseMetadata } from '../wire/metadata.ts'
import type { AgreedRoster } from './agree-on-roster.ts'
import type { Containers, Look, ReadyContainer } from './containers.ts'
import type { Growth } from './growth.ts'
import type { AttemptNotes } from './lease-attempts.ts'
import { LeaseByRoster, type PlacedLease, RosterDoubted } from './lease-by-roster.ts'
import type { LookOut } from './look-out.ts'
import { pause } from './pause.ts'
import { type PoolRoster, retryMs } from './pool-roster.ts'
import { roomFor } from './scale-plan.ts'
import type { Scaler } from './scaler.ts'
import { isUnsure, unsure as unsureOf } from './silent-container.ts'
import type { Vacancies } from './vacancies.ts'
import { letOthersFirst, type Ticket, turnOrAbort, type WaitingLine } from './waiting-line.ts'

/** How soon a container that could not be asked is asked again. */
const unsurePauseMs = 250

export interface LeaseContext extends AttemptNotes {
  config: Config
  backend: Backend
  containers: Containers
  roster: PoolRoster
  line: WaitingLine
  growth: Growth
  scaler: Scaler
  /** What is noted down with the lease, if it has to be made. */
  metadata: LeaseMetadata
  vacancies: Vacancies
  lookOut: LookOut
}

/**
 * The lease of a task: the one it has, wherever it is in the pool, or a new one. Who finds the pool full makes it grow up to `max`, then waits
 * in line until `signal` or `deadline` is aborted. The deadline is for that alone: a slot that is there is had however short it is.
 *
 * @throws {SlotpoolError} `SERVER_UNREACHABLE` when until the deadline some container could not be asked that may have the task's slot.
 */
export async function leaseTask(context: LeaseContext, taskId: string, signal: AbortSignal, deadline: AbortSignal): Promise<PlacedLease> {
  using ending = new LinkedAbortController(signal, deadline)
  const either = ending.signal
  const ticket = context.line.ticket()
  let unsure: SlotpoolError | undefined
  for (;;) {
    try {
      return await tryToLease(context, taskId, ticket, signal, either)
    } catch (error) {
      if (isUnsure(error)) unsure = error
      else throw unsure && deadline.aborted && isCancelled(error) && !signal.aborted ? unsure : error
    }
    context.onWait()
    await pause(context.containers.clock, unsurePauseMs, either)
    if (signal.aborted) throw new SlotpoolError('CANCELLED', 'gave up waiting for a slot', { cause: signal.reason })
    if (deadline.aborted) throw unsure
  }
}

async function tryToLease(
  context: LeaseContext,
  taskId: string,
  ticket: Ticket,
  signal: AbortSignal,
  either: AbortSignal,
): Promise<PlacedLease> {
  const { line, scaler, lookOut } = context
  let served = false
  const grow = (look: Look): Promise<void> | undefined => makeRoom(context, look, () => served)
  let begun: Promise<void> | undefined
  // Whoever waits already comes first.
  if (line.length > 0) {
    const found = await byRoster(context, taskId, signal, (way) => way.find())
    if (found) return found
  } else {
    const { placed, look } = await takeIn(context, taskId, signal, true)
    if (placed) return placed
    if (!(await scaler.wantAll(look.ready, signal))) {
      // However short this caller waits: the next one may find the container that it began.
      begun = grow(look)
      begun?.catch(() => {})
    }
  }
  context.onWait()
  const headOfLine = async (): Promise<PlacedLease | typeof letOthersFirst> => {
    for (;;) {
      // What has room says so: nobody else has to be asked.
      const { placed, look } = await takeIn(context, taskId, either, false)
      served = placed !== undefined
      if (placed) return placed
      if (begun || !(await scaler.wantAll(look.ready, either))) await room(context, begun ?? grow(look), look.ready, either)
      begun = undefined
      if (line.isOvertaking(ticket)) return letOthersFirst
    }
  }
  try {
    return await line.inTurn(either, headOfLine, ticket)
  } finally {
    if (line.length === 0) lookOut.rest()
  }
}

/** A slot in any of the containers that there are, or, unless `everywhere`, that may have room; without one, the containers that were full. */
async function takeIn(
  context: LeaseContext,
  taskId: string,
  signal: AbortSignal,
  everywhere: boolean,
): Promise<{ placed: PlacedLease; look?: undefined } | { placed?: undefined; look: Look }> {
  const { containers, roster, later, vacancies } = context
  for (;;) {
    let tried: string | undefined
    const placed = await byRoster(context, taskId, signal, (way) => {
      tried = way.rosterId
      return way.take(later, { vacancies, everywhere })
    })
    if (placed) return { placed }
    const look = await containers.look(signal)
    // Others may have taken in new containers meanwhile, which have not been tried then.
    if (look.ready.length === 0 || (roster.covers(look) && roster.isKnown(tried))) return { look }
  }
}

/**
 * What comes of `work` by the roster in force. Undefined when there are no containers.
 *
 * @throws {SlotpoolError} `SERVER_UNREACHABLE` when a container could not be asked that may have the task's slot.
 */
export async function byRoster<T>(
  { config, containers, roster, metadata = {} }: Pick<LeaseContext, 'config' | 'containers' | 'roster'> & { metadata?: LeaseMetadata },
  taskId: string,
  signal: AbortSignal,
  work: (way: LeaseByRoster) => Promise<T | undefined>,
): Promise<T | undefined> {
  const terms = { taskId, owner: config.owner, lifetimeMs: config.lifetimeMs, metadata }
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
      return await work(new LeaseByRoster(current, terms, signal, containers.clock))
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

/**
 * Begins to grow the pool by what those in line need, in one step, and at least for the one who begins it, unless he is `served` by then. Undefined when
 * it is as large as it may get, or the engine could not make it larger a moment ago.
 */
function makeRoom(
  { config, line, growth, roster, scaler }: LeaseContext,
  { all, ready }: Look,
  served: () => boolean,
): Promise<void> | undefined {
  const live = all.filter((one) => one.state !== 'dead').length
  if (live >= config.max || (growth.rests && ready.length > 0)) return undefined
  const untaken = ready.filter((one) => !roster.has(one.container.id)).length
  const starting = all.filter((one) => one.state === 'starting').length
  const { slots, min, max } = config
  // Where what is starting will do, it is waited for.
  const count = (): number => roomFor({ live, starting, untaken, waiting: line.length, slots, min, max })
  // What another manager drained a moment ago is there sooner than what would be made.
  const needless = async (signal: AbortSignal): Promise<boolean> =>
    (await scaler.wantAllNow(ready, signal)) || (line.length === 0 && served())
  return growth.begin(count, needless)
}

/**
 * Resolves when the pool has grown or some container has an idle slot, whichever is first, when other containers are ready than were, or it is
 * time to look again.
 *
 * @throws what kept the pool from growing, when there is no container whose slots could come free, or when it will not pass by itself.
 */
async function room(
  { containers, roster, lookOut }: Pick<LeaseContext, 'containers' | 'roster' | 'lookOut'>,
  growing: Promise<void> | undefined,
  ready: readonly ReadyContainer[],
  signal: AbortSignal,
): Promise<void> {
  if (growing && ready.length === 0) return turnOrAbort(growing, signal)
  const grown = growing?.catch((error) => {
    if (!(error instanceof SlotpoolError && error.retryable)) throw error
    // It may be able to later. Meanwhile a slot may come free.
    return new Promise<void>(() => {})
  })
  using enough = new LinkedAbortController(signal)
  let unwatch = (): void => {}
  const changed = new Promise<void>((resolve) => {
    unwatch = containers.watch(resolve)
  })
  // What cannot be taken in yet, because another container is silent, has room for nobody, and would say at once that it has.
  const members = ready.filter((one) => roster.has(one.container.id))
  const withinMs = members.length < ready.length ? retryMs : undefined
  try {
    await Promise.race([...(grown ? [grown] : []), lookOut.next(members, enough.signal, withinMs), changed])
  } finally {
    unwatch()
    // Without a reason one is made, an error with its stack.
    enough.abort('enough')
  }
  if (signal.aborted) throw new SlotpoolError('CANCELLED', 'gave up waiting for a slot', { cause: signal.reason })
}

import type { PoolVersion } from '../backend/pool-version.ts'
import type { ServerLoad } from '../wire/load.ts'
import { byVersion, givesLeases, planRoll } from './roll-plan.ts'

/** A container that lives, as its sandbox server says it is. */
export interface ContainerState {
  id: string
  index: number
  /** Undefined while it does not answer. */
  load: ServerLoad | undefined
  /** For how long it has given no answer. */
  silentForMs: number
  /** Undefined where the backend does not tell: it is as all others are. */
  version?: PoolVersion | undefined
}

/** What the pool is to have. */
export interface PoolNeeds {
  min: number
  /** While the pool is changed it may have one more. */
  max: number
  /** How many wait for a slot in this process. */
  waiting: number
  /** Whether this process has anything to do with the pool: who merely has it open makes no containers. */
  active: boolean
  /** After so long without an answer a container is given up. */
  giveUpSilentMs: number
  /** A growth failed so lately that none is tried. */
  stuck: boolean
  /** Where only the highest index of a version can go for good. */
  highestOnly: boolean
}

/** What is to be done with which containers, by id. */
export interface ScalePlan {
  /** Drained ones that are wanted again. */
  serve: string[]
  /** Those that shall give no new lease. */
  drain: string[]
  /** Those that shall never give a lease again, if nobody has one there. */
  retire: string[]
  remove: string[]
  /** Make the pool have so many containers. */
  grow: number | undefined
}

/**
 * What is to be done with the containers of a pool, lowest index first. Managers that see the same decide the same, and all of it may be done
 * twice, so several of them need not agree.
 *
 * What is not needed goes by drain, then retirement, then removal, the highest index first, for that is what Nomad removes when a job's count is
 * lowered. Needed are as many containers as had room for the most leases of late. A container with slots out of service is replaced in the
 * same way, one at a time; one that has no others left goes at once. While a pool is changed, {@link planRoll} says what is not needed.
 */
export function planScale(states: readonly ContainerState[], needs: PoolNeeds): ScalePlan {
  const over = (one: ContainerState): boolean =>
    one.load === undefined ? one.silentForMs >= needs.giveUpSilentMs : one.load.state === 'retired'
  const rest = states.filter((one) => !over(one))
  const remove = states.filter(over).map((one) => one.id)
  const least = (going: readonly string[]): number | undefined =>
    needs.active && rest.length - going.length < needs.min ? needs.min : undefined
  const versions = byVersion(rest)
  // What is worn of an earlier version goes anyway, and what is not needed of the newest is seen when the change is over.
  if (versions.earlier.length > 0) {
    const roll = planRoll(versions, needs)
    const worn = wornBesideOthers(versions.newest, needs)
    return {
      serve: roll.serve.filter((id) => !worn.drain.includes(id)),
      drain: [...roll.drain, ...worn.drain],
      retire: [...roll.retire, ...worn.retire],
      remove,
      grow: roll.grow ?? least(worn.retire),
    }
  }
  const worn = planWorn(rest, needs)
  const surplus = needs.waiting > 0 ? { drain: [], retire: [] } : planSurplus(rest, needs.min)
  const leaving = new Set([...worn.drain, ...surplus.drain, ...surplus.retire])
  const wanted = needs.waiting > 0 ? rest.filter((one) => one.load?.state === 'draining' && !leaving.has(one.id)) : []
  const retire = [...new Set([...worn.retire, ...surplus.retire])]
  return {
    serve: wanted.map((one) => one.id),
    drain: [...new Set([...worn.drain, ...surplus.drain])],
    retire,
    remove,
    grow: least(retire),
  }
}

function planWorn(rest: readonly ContainerState[], { active, min }: PoolNeeds): { drain: string[]; retire: string[] } {
  const worn = rest.flatMap(({ id, load }) => (load && load.outOfService > 0 ? [{ id, load }] : []))
  // What has nothing left to give is missed by nobody.
  const spent = worn.filter(({ load }) => load.leased === 0 && load.outOfService >= load.slots).map((one) => one.id)
  const others = rest.some((one) => one.load?.state === 'serving' && one.load.outOfService === 0)
  const replaced = active || rest.length - spent.length > min
  const [next] = worn
    // One that is all there is goes on with what it has, until that is not much.
    .filter(({ id, load }) => !spent.includes(id) && (others || load.outOfService * 2 >= load.slots))
    .filter(({ load }) => load.leased > 0 || replaced)
    .sort((a, b) => Number(b.load.state === 'draining') - Number(a.load.state === 'draining') || b.load.outOfService - a.load.outOfService)
  const goes = next && next.load.leased === 0
  return { drain: next && !goes ? [next.id] : [], retire: goes ? [...spent, next.id] : spent }
}

/** The same in a pool that is being changed: without one of the newest version that gives leases the change would be forgotten. */
function wornBesideOthers(newest: readonly ContainerState[], needs: PoolNeeds): { drain: string[]; retire: string[] } {
  const worn = planWorn(newest, needs)
  const going = [...worn.drain, ...worn.retire]
  return newest.some(({ id, load }) => givesLeases(load) && !going.includes(id)) ? worn : { drain: [], retire: [] }
}

function planSurplus(rest: readonly ContainerState[], min: number): { drain: string[]; retire: string[] } {
  const surplus = rest.slice(Math.max(min, neededCount(rest))).reverse()
  const drain: string[] = []
  const retire: string[] = []
  for (const { id, load } of surplus) {
    // What is silent may have leases, and is in the way of those below it.
    if (!load) break
    if (load.leased === 0 && drain.length === 0) retire.push(id)
    else drain.push(id)
  }
  return { drain, retire }
}

/** How many of the containers, from the lowest on, have room for the most leases that there were of late. */
function neededCount(rest: readonly ContainerState[]): number {
  let peak = 0
  // Of one that is silent nothing is known.
  for (const { load } of rest) peak += load ? load.mostLeased : Number.POSITIVE_INFINITY
  let room = 0
  let count = 0
  for (const { load } of rest) {
    if (room >= peak) break
    room += load ? load.slots - load.outOfService : 0
    count++
  }
  return count
}

/** What there is when somebody waits for a slot. */
export interface Crowd {
  /** Containers that live, and those of them that are starting, whoever had them made. */
  live: number
  starting: number
  /** Those that are ready, and cannot be taken in yet because another is silent. */
  untaken: number
  /** How many wait in this process. */
  waiting: number
  slots: number
  min: number
  max: number
}

/**
 * To how many containers a pool is grown for those who wait, in one step. Of the slots that are being made half may be for others, who wait in other
 * processes and had them made: to count none of them is to have a container for each process where one would do, to count all is to leave some of a
 * crowd waiting for a second growth. What is ready and cannot be taken in counts
 * whole: what is made beside it could not be taken in either.
 */
export function roomFor({ live, starting, untaken, waiting, slots, min, max }: Crowd): number {
  const beingMade = (starting * slots) / 2 + untaken * slots
  const without = Math.max(beingMade === 0 ? 1 : 0, waiting - beingMade)
  return Math.min(max, Math.max(min, live + Math.ceil(without / slots)))
}

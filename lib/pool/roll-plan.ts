import { isEarlier, newestVersion } from '../backend/pool-version.ts'
import type { ServerLoad } from '../wire/load.ts'
import type { ContainerState, PoolNeeds, ScalePlan } from './scale-plan.ts'

/** The containers of the newest version, and those that are to make room for them, in the order in which they go. */
export interface Versions {
  newest: ContainerState[]
  earlier: ContainerState[]
}

/** The oldest version goes first, and of each the highest index, for that is what Nomad removes when a count is lowered. */
export function byVersion(states: readonly ContainerState[]): Versions {
  const version = newestVersion(states.map((one) => one.version))
  const isOld = (one: ContainerState): boolean => version !== undefined && one.version !== undefined && isEarlier(one.version, version)
  const generation = (one: ContainerState): number => one.version?.generation ?? 0
  return {
    newest: states.filter((one) => !isOld(one)),
    earlier: states.filter(isOld).sort((a, b) => generation(a) - generation(b) || b.index - a.index),
  }
}

/** Whether a container gives leases, or will when one ends there: a slot that is out of service comes back no more. */
export function givesLeases(load: ServerLoad | undefined): boolean {
  return load?.state === 'serving' && load.outOfService < load.slots
}

/**
 * What is to be done with the containers of a pool that is being changed. One of an earlier version is drained as soon as enough others give leases,
 * and goes when nobody has a slot there. Where there are not enough, another of the newest version is made first: one at a time, and one more than `max`
 * at most. Enough is what the leases of late need, and while somebody waits, `max`.
 *
 * What was drained serves again only where there are too few and no more can be made: whoever waits comes before the change, and a pool that is full all
 * the time is changed all the same.
 */
export function planRoll({ newest, earlier }: Versions, needs: PoolNeeds): Omit<ScalePlan, 'remove'> {
  const live = newest.length + earlier.length
  const gives = ({ load }: ContainerState): boolean => givesLeases(load)
  const enough = enoughContainers({ newest, earlier }, needs)
  const resting = newest.filter(({ load }) => load?.state === 'draining')
  const serve = needs.waiting > 0 ? resting.map((one) => one.id) : []
  let giving = newest.filter(gives).length + serve.length + earlier.filter(gives).length
  const hasNew = newest.some(gives)
  const drain: string[] = []
  const back: ContainerState[] = []
  let keepsServing = false
  for (const one of earlier) {
    if (one.load?.state === 'draining') {
      back.unshift(one)
      drain.push(one.id)
    } else if (gives(one)) {
      if (hasNew && giving - 1 >= enough) {
        drain.push(one.id)
        giving--
      } else keepsServing = true
    }
  }
  const full = live > needs.max || needs.stuck
  const wanted = full && giving < enough ? back.slice(0, enough - giving).map((one) => one.id) : []
  const leaving = drain.filter((id) => !wanted.includes(id))
  const retire = earlier.filter((one, at) => leaving.includes(one.id) && one.load?.leased === 0 && !isKept(earlier, at, leaving, needs))
  const left = live - retire.length
  // None of the newest has a slot to give any more: they go once another is there, and do not count.
  const isSpent = ({ load }: ContainerState): boolean => load !== undefined && load.outOfService >= load.slots
  const allSpent = newest.every(isSpent)
  const staying = allSpent ? left - newest.length : left
  return {
    serve: [...serve, ...wanted],
    drain: leaving,
    retire: retire.map((one) => one.id),
    // One that is silent may yet serve: another would be silent, too.
    grow: (keepsServing || allSpent) && staying <= needs.max && !needs.stuck && newest.every(({ load }) => load) ? left + 1 : undefined,
  }
}

/** Whether one of the same version with a higher index stays: where only the highest can go, this one has to wait for it. */
function isKept(earlier: readonly ContainerState[], at: number, leaving: readonly string[], needs: PoolNeeds): boolean {
  if (!needs.highestOnly) return false
  const generation = earlier[at]?.version?.generation
  return earlier.slice(0, at).some((one) => one.version?.generation === generation && !(leaving.includes(one.id) && one.load?.leased === 0))
}

/** How many containers have to give leases: as many of the newest version as have room for the most leases of late. */
function enoughContainers({ newest, earlier }: Versions, needs: PoolNeeds): number {
  const all = [...newest, ...earlier]
  // A pool that others let be larger is not made smaller at one blow.
  const most = Math.max(needs.max, all.length - 1)
  if (needs.waiting > 0) return most
  // Of one that is silent nothing is known.
  const peak = all.reduce((sum, { load }) => sum + (load ? load.mostLeased : Number.POSITIVE_INFINITY), 0)
  const slots = all.find(({ load }) => load !== undefined)?.load?.slots ?? 1
  return Math.min(most, Math.max(needs.min, 1, Math.ceil(peak / slots)))
}

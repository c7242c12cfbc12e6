import type { FailureKind } from '../lib/failure.ts'

/** Where the containers of a run are: a backend of slotpool. */
export const placeNames = ['local', 'docker', 'nomad', 'fake'] as const
export type PlaceName = (typeof placeNames)[number]

/** What is done to a pool while it works. */
interface Fault {
  /** The backends on which it can be done. */
  places: readonly PlaceName[]
  /** What a task that it touches may end with, beside ending well. Where nothing of the task's is lost that is nothing. */
  excuses: readonly FailureKind[]
}

const everywhere = placeNames
const slotGone = ['lost', 'unknown'] as const

const faults = {
  /** SIGKILL of a manager, which is then started again. */
  'manager-kill': { places: everywhere, excuses: [] },
  /** SIGKILL of a sandbox server, its jails going with it. */
  'server-kill': { places: everywhere, excuses: slotGone },
  /** A container is ended and removed with all that is known of it. */
  'container-remove': { places: ['local', 'docker', 'fake'], excuses: slotGone },
  /** A connection to a sandbox server breaks in the middle of an answer. The server and all that it knows stay. */
  'connection-cut': { places: everywhere, excuses: [] },
  /** A sandbox server lives and says nothing for a second or two. */
  'server-stall': { places: everywhere, excuses: [] },
  /** Nomad is told to stop an allocation. */
  'allocation-stop': { places: ['nomad'], excuses: slotGone },
  /** Nomad is told to drain a node, which becomes eligible again when it is empty. */
  'node-drain': { places: ['nomad'], excuses: slotGone },
} as const satisfies Record<string, Fault>

export type FaultName = keyof typeof faults
export const faultNames = Object.keys(faults) as FaultName[]

/** The faults that can be injected with a backend. */
export function faultsOf(place: PlaceName): readonly FaultName[] {
  return faultNames.filter((name) => (faults[name].places as readonly PlaceName[]).includes(place))
}

/** Whether a task that was touched by a fault may have ended with a failure of that kind. */
export function excuses(name: FaultName, kind: FailureKind): boolean {
  return (faults[name].excuses as readonly FailureKind[]).includes(kind)
}

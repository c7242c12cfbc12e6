import { type AllocatedPort, type AllocationStub, allocationIndex, hasEnded, serverRuns } from '../../nomad/allocations.ts'
import { generationOf, portLabel } from '../../nomad/job-spec.ts'
import { failureEvent } from '../../nomad/task-failure.ts'
import type { Endpoint } from '../../wire/endpoint.ts'
import type { Container } from '../backend.ts'
import type { PoolVersion } from '../pool-version.ts'

/** Whether it is of a group of the pool's, and not of one that somebody added to its job. */
export function isOfPool({ TaskGroup }: AllocationStub): boolean {
  return generationOf(TaskGroup) !== undefined
}

/** Nomad wants it to run and its node does not say that it ended. */
export function isLive(allocation: AllocationStub): boolean {
  return allocation.DesiredStatus === 'run' && !hasEnded(allocation)
}

/** It ended although Nomad wants it to run, and nothing took its place yet. */
export function endedByItself(allocation: AllocationStub): boolean {
  return allocation.DesiredStatus === 'run' && hasEnded(allocation) && !allocation.NextAllocation
}

/**
 * It {@link endedByItself} and still takes a place among those that Nomad counts. One that ended with exit code 0 does not: Nomad puts another
 * there when it next has reason to look, and shows the old one unchanged for hours.
 */
export function isDead(allocation: AllocationStub): boolean {
  return endedByItself(allocation) && allocation.ClientStatus !== 'complete'
}

/**
 * The allocations that are containers of the pool, with their place in it: not those that ended as they should and stay in Nomad's memory for hours. In each
 * group Nomad counts from 0; those of an earlier group come behind those of a later one, for they go first.
 */
export function poolAllocations(allocations: readonly AllocationStub[]): PoolAllocation[] {
  const there = allocations.filter((one) => isOfPool(one) && (!hasEnded(one) || isDead(one)))
  const generations = [...new Set(there.map(groupGeneration))].sort((a, b) => b - a)
  return there
    .map((allocation) => ({
      allocation,
      index: generations.indexOf(groupGeneration(allocation)) * mostOfGroup + allocationIndex(allocation),
    }))
    .sort((a, b) => a.index - b.index || a.allocation.CreateIndex - b.allocation.CreateIndex)
}

/** An allocation with its place among all containers of its pool. */
export interface PoolAllocation {
  allocation: AllocationStub
  index: number
}

/** A pool has no more containers. */
const mostOfGroup = 10_001

function groupGeneration({ TaskGroup }: AllocationStub): number {
  return generationOf(TaskGroup) ?? 0
}

/** Where the allocation's sandbox server listens; undefined while Nomad has given it no port. */
export function allocationEndpoint(ports: readonly AllocatedPort[] | undefined): Endpoint | undefined {
  const port = ports?.find((one) => one.Label === portLabel)
  if (port === undefined) return undefined
  const host = port.HostIP.includes(':') ? `[${port.HostIP}]` : port.HostIP
  return { url: `http://${host}:${port.Value}` }
}

/** The container that an allocation is. `silence` says why its server has not answered; undefined when it has. */
export function toContainer(
  { allocation, index }: PoolAllocation,
  version: PoolVersion,
  endpoint: Endpoint | undefined,
  silence: string | undefined,
): Container {
  const container = {
    id: allocation.ID,
    index,
    version,
    node: allocation.NodeName,
    ...(endpoint === undefined ? {} : { endpoint }),
  }
  if (hasEnded(allocation)) {
    const words = failureEvent(allocation)?.DisplayMessage || allocation.ClientDescription
    return { ...container, state: 'dead', reason: words || `client status ${allocation.ClientStatus}` }
  }
  if (allocation.DesiredStatus !== 'run') return { ...container, state: 'dead', ending: true, reason: 'Nomad is stopping it' }
  if (!serverRuns(allocation) || endpoint === undefined) {
    return { ...container, state: 'starting', reason: lastEvent(allocation) ?? `client status ${allocation.ClientStatus}` }
  }
  return silence === undefined ? { ...container, state: 'ready' } : { ...container, state: 'starting', reason: silence }
}

function lastEvent(allocation: AllocationStub): string | undefined {
  const events = Object.values(allocation.TaskStates ?? {}).flatMap((task) => task.Events ?? [])
  return events.at(-1)?.DisplayMessage || undefined
}

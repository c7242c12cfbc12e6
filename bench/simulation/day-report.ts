import type { SlotPool } from 'slotpool'
import { type Summary, summarize } from '../statistics.ts'
import type { Fairness, LeaseCosts } from './day-log.ts'
import { hourMs } from './day-workload.ts'
import { leastSquares } from './least-squares.ts'
import type { Growth, SimulatedDay } from './simulated-day.ts'

/** How things were at one moment. */
export interface DaySample {
  hour: number
  /** Tasks that have or want a slot. */
  present: number
  waiting: number
  containers: number
  starting: number
  slots: number
  leased: number
}

/** Of the process, after garbage was collected. */
export interface MemorySample {
  hour: number
  heapMiB: number
  residentMiB: number
  containers: number
  leased: number
}

/** What leases cost that were had at once while nobody else asked. */
export interface CostSummary {
  n: number
  ms: Summary
  cpuMs: Summary
  requests: Summary
}

/** All that is told of a simulated day. */
export interface DayReport {
  tasks: number
  hours: number
  slots: number
  min: number
  max: number
  managers: number
  /** What it took, on the machine's own clock and of its processors. */
  realSeconds: number
  cpuSeconds: number
  requests: number
  samples: DaySample[]
  memory: MemorySample[]
  /** As {@link heapSlope} has it of {@link memory}. */
  heapSlope: number | null
  costs: (CostSummary & { hour: number })[]
  costByContainers: (CostSummary & { from: number; to: number })[]
  waitsMs: Summary | null
  waitsInVainMs: Summary | null
  fairness: Fairness
  fairnessByHour: (Fairness & { hour: number })[]
  overtaken: number
  overtakenInSilence: number
  /** Leased slots in parts of all that had started, over the time in which tasks came. */
  utilisation: number
  growths: number
  removals: number
  /** Containers that were asked for above what leases and those who waited needed at that moment, and when that was. */
  overshoot: { all: number; growths: Growth[] }
  /** Below or above the bounds of the pool, in samples. */
  outOfBounds: number
  outcomes: Record<string, number>
  metrics: ReturnType<SlotPool['metrics']>[]
  foreign: number
  second: number
  left: { containers: number; leased: number; held: number; waiting: number; timers: number }
}

/** Containers at which the costs are told apart. */
const containerBounds = [0, 20, 100, 300, 600, 900, Number.POSITIVE_INFINITY]

/** The costs of the leases with those numbers. */
export function costsOf(costs: LeaseCosts, chosen: readonly number[]): CostSummary | undefined {
  if (chosen.length === 0) return undefined
  const of = (column: Float32Array): Summary => summarize(chosen.map((at) => column[at] as number))
  return { n: chosen.length, ms: of(costs.ms), cpuMs: of(costs.cpuMs), requests: of(costs.requests) }
}

export function costByContainers(costs: LeaseCosts): DayReport['costByContainers'] {
  return containerBounds.slice(1).flatMap((to, at) => {
    const from = containerBounds[at] as number
    const chosen = Array.from({ length: costs.count }, (_, one) => one).filter((one) => {
      const containers = costs.containers[one] as number
      return containers >= from && containers < to
    })
    const found = costsOf(costs, chosen)
    const most = chosen.reduce((so, one) => Math.max(so, costs.containers[one] as number), 0)
    return found ? [{ from, to: most, ...found }] : []
  })
}

/** Before, the process is still getting warm. */
const warmAfterHours = 4
/** A pool is as large as it was while it has so few containers more or fewer. */
const asLarge = 0.02
/** So many samples tell something. */
const leastSamples = 6

/**
 * What of the heap comes with nothing but time, in MiB an hour: over the longest time in which the pool stayed as large as it was. What a container takes is
 * less when it is new, for as many connections as it ever needed at once stay; in a pool that grows and shrinks that looks like time. Null for a
 * day in which it never stayed.
 */
export function heapSlope(memory: readonly MemorySample[]): number | null {
  const steady = longestSteady(memory.filter((one) => one.hour >= warmAfterHours))
  if (steady.length < leastSamples) return null
  return leastSquares(
    steady.map((one) => [1, one.hour]),
    steady.map((one) => one.heapMiB),
  )[1] as number
}

function longestSteady(memory: readonly MemorySample[]): readonly MemorySample[] {
  let longest: readonly MemorySample[] = []
  for (let from = 0; from < memory.length; from++) {
    let [least, most, to] = [Number.POSITIVE_INFINITY, 0, from]
    for (; to < memory.length; to++) {
      const { containers } = memory[to] as MemorySample
      least = Math.min(least, containers)
      most = Math.max(most, containers)
      if (most - least > asLarge * most) break
    }
    if (to - from > longest.length) longest = memory.slice(from, to)
  }
  return longest
}

export function utilisation(samples: readonly DaySample[], hours: number): number {
  const day = samples.filter((one) => one.hour <= hours)
  const sum = (of: (one: DaySample) => number): number => day.reduce((all, one) => all + of(one), 0)
  return sum((one) => one.leased) / sum((one) => one.slots)
}

export function summary(samples: readonly number[]): Summary | null {
  return samples.length === 0 ? null : summarize(samples)
}

export function sampleOf(day: SimulatedDay): DaySample {
  const { containers, starting, slots, leased } = day.backend.usage()
  return { hour: day.atMs / hourMs, present: day.log.present, waiting: day.log.waiting, containers, starting, slots, leased }
}

export function heldBy(pools: readonly SlotPool[]): { held: number; waiting: number } {
  const now = pools.map((pool) => pool.metrics().now)
  return { held: now.reduce((sum, one) => sum + one.held, 0), waiting: now.reduce((sum, one) => sum + one.waiting, 0) }
}

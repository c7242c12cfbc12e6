import { Random } from '../random.ts'
import {
  costByContainers,
  costsOf,
  type DayReport,
  type DaySample,
  heapSlope,
  heldBy,
  type MemorySample,
  sampleOf,
  summary,
  utilisation,
} from './day-report.ts'
import { hourMs } from './day-workload.ts'
import { type DayOptions, SimulatedDay } from './simulated-day.ts'

export interface ObserveOptions extends DayOptions {
  seed: number
  /** How often it is noted how things are, and how often memory is measured and costs are summed up. */
  sampleMs: number
  memoryMs: number
  /** Collects garbage, where it can be had. */
  collectGarbage?: (() => void) | undefined
  /** Told from time to time how far it is. */
  onProgress?: (line: string) => void
}

const mebibyte = 2 ** 20

/** So long after the last task came everything has gone: the longest of them, and the leases that nobody renews. */
const afterwardsMs = 8 * hourMs

/** Lets a day pass, until nobody has a slot any more and the pool is as small as it may get; then ends the pool. */
export async function observeDay(options: ObserveOptions): Promise<DayReport> {
  const { workload, min, max, slots, sampleMs, memoryMs, collectGarbage, onProgress } = options
  const { lengthMs } = workload
  const day = new SimulatedDay(options, new Random(options.seed))
  const startedAt = performance.now()
  const startedCpu = process.cpuUsage()
  const samples: DaySample[] = []
  const memory: MemorySample[] = []
  const costs: DayReport['costs'] = []
  const fairnessByHour: DayReport['fairnessByHour'] = []
  let summed = 0
  const sum = (): void => {
    const chosen = Array.from({ length: day.log.costs.count - summed }, (_, at) => summed + at)
    summed = day.log.costs.count
    const found = costsOf(day.log.costs, chosen)
    const hour = (day.atMs - memoryMs / 2) / hourMs
    if (found) costs.push({ hour, ...found })
    const fairness = day.log.takeFairness()
    if (fairness.tenants > 1) fairnessByHour.push({ hour, ...fairness })
  }
  const measure = (): void => {
    collectGarbage?.()
    const { heapUsed, rss } = process.memoryUsage()
    const { containers, leased } = day.backend.usage()
    memory.push({ hour: day.atMs / hourMs, heapMiB: heapUsed / mebibyte, residentMiB: rss / mebibyte, containers, leased })
  }
  await day.begin()
  measure()
  const asSmallAsMayBe = (): boolean => {
    const { containers, leased } = day.backend.usage()
    return day.over && leased === 0 && containers === min
  }
  for (let atMs = sampleMs; atMs <= lengthMs + afterwardsMs && !asSmallAsMayBe(); atMs += sampleMs) {
    await day.passUntil(atMs)
    samples.push(sampleOf(day))
    if (atMs % memoryMs !== 0) continue
    measure()
    sum()
    const { containers, leased, waiting } = samples.at(-1) as DaySample
    const seconds = (performance.now() - startedAt) / 1_000
    onProgress?.(`${(atMs / hourMs).toFixed(1)} h: ${containers} containers, ${leased} leased, ${waiting} wait; ${seconds.toFixed(0)} s`)
  }
  sum()
  measure()
  const metrics = day.pools.map((pool) => pool.metrics())
  const { held, waiting } = heldBy(day.pools)
  const { leased } = day.backend.usage()
  await day.end()
  const { log, growths } = day
  const { user, system } = process.cpuUsage(startedCpu)
  const beyond = growths.filter((one) => one.count > Math.max(one.needed, one.containers))
  return {
    tasks: workload.tasks,
    hours: lengthMs / hourMs,
    slots,
    min,
    max,
    managers: workload.managers,
    realSeconds: (performance.now() - startedAt) / 1_000,
    cpuSeconds: (user + system) / 1e6,
    requests: day.backend.traffic.requests,
    samples,
    memory,
    heapSlope: heapSlope(memory),
    costs,
    costByContainers: costByContainers(log.costs),
    waitsMs: summary(log.waits),
    waitsInVainMs: summary(log.waitsInVain),
    fairness: log.fairness,
    fairnessByHour,
    overtaken: log.overtaken,
    overtakenInSilence: log.overtakenInSilence,
    utilisation: utilisation(samples, lengthMs / hourMs),
    growths: growths.length,
    removals: day.removals,
    overshoot: { all: beyond.reduce((all, one) => all + one.count - Math.max(one.needed, one.containers), 0), growths: beyond },
    outOfBounds: samples.filter((one) => one.containers > max).length,
    outcomes: Object.fromEntries(log.outcomes),
    metrics,
    foreign: log.foreign,
    second: log.second,
    left: { containers: day.backend.usage().containers, leased, held, waiting, timers: day.clock.pending },
  }
}

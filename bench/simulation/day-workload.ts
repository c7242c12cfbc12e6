import type { Random } from '../random.ts'

const secondMs = 1_000
const minuteMs = 60 * secondMs
export const hourMs = 60 * minuteMs
export const dayMs = 24 * hourMs

/** What a day is like. */
export interface WorkloadOptions {
  /** How many tasks come within {@link lengthMs}. */
  tasks: number
  lengthMs: number
  tenants: number
  managers: number
  /** Hundreds that come at once: how often in a day, and the least and the most of them. */
  bursts: { count: number; least: number; most: number }
  /** How long a task has its slot: log-normal. */
  durationMs: { median: number; sigma: number; least: number; most: number }
}

/** One task, from when it comes. */
export interface DayTask {
  id: string
  tenant: number
  manager: number
  durationMs: number
  /** How long it waits for a slot. */
  waitMs: number
  /** Its owner dies with it, or never comes back: nobody renews or releases its lease. */
  forgotten: boolean
  /** Another manager leases it too, in the middle. */
  visited: boolean
  /** How long after the last thing each of its commands begins, and how long it runs. */
  commands: readonly { afterMs: number; lastsMs: number }[]
}

/** How much comes at each hour of the day, from midnight: least before dawn, most in the afternoon. */
const curve = [
  0.6, 0.5, 0.42, 0.36, 0.34, 0.38, 0.5, 0.75, 1.05, 1.3, 1.5, 1.6, 1.6, 1.65, 1.72, 1.75, 1.7, 1.55, 1.35, 1.15, 1.0, 0.9, 0.8, 0.7,
]

/** All tasks of a day, in the order in which they come. The same for the same seed. */
export class DayWorkload {
  /** When each comes, in milliseconds from the start, and whose it is. */
  readonly atMs: Float64Array
  readonly #tenant: Uint8Array
  readonly #options: WorkloadOptions
  readonly #random: Random

  constructor(options: WorkloadOptions, random: Random) {
    this.#options = options
    this.#random = random
    const { tasks, lengthMs, tenants, bursts } = options
    const arrivals: { atMs: number; tenant: number }[] = []
    for (let burst = 0; burst < bursts.count; burst++) {
      const atMs = Math.floor(random.next() * lengthMs * 0.98)
      const tenant = Math.floor(random.next() * tenants)
      const size = Math.round(bursts.least * (bursts.most / bursts.least) ** random.next())
      for (let one = 0; one < size && arrivals.length < tasks; one++) arrivals.push({ atMs, tenant })
    }
    const most = Math.max(...curve)
    while (arrivals.length < tasks) {
      const atMs = Math.floor(random.next() * lengthMs)
      if (random.next() * most > rate((atMs / lengthMs) * dayMs)) continue
      // A few tenants have most of the tasks.
      arrivals.push({ atMs, tenant: Math.floor(tenants * random.next() ** 2) })
    }
    arrivals.sort((a, b) => a.atMs - b.atMs)
    this.atMs = Float64Array.from(arrivals, (one) => one.atMs)
    this.#tenant = Uint8Array.from(arrivals, (one) => one.tenant)
  }

  /** The task that comes as number `at`. To be asked for once, in order. */
  task(at: number): DayTask {
    const { managers } = this.#options
    const random = this.#random
    const tenant = this.#tenant[at] as number
    const durationMs = this.#duration()
    const forgotten = random.next() < 0.01
    return {
      id: `task-${at}`,
      tenant,
      manager: tenant % managers,
      durationMs,
      waitMs: random.next() < 0.2 ? Math.round(5 * secondMs + random.next() * 55 * secondMs) : 10 * minuteMs,
      forgotten,
      visited: !forgotten && durationMs > 10 * secondMs && random.next() < 0.02,
      commands: random.next() < 0.1 ? this.#commands(durationMs) : [],
    }
  }

  #duration(): number {
    const { median, sigma, least, most } = this.#options.durationMs
    const normal = Math.sqrt(-2 * Math.log(1 - this.#random.next())) * Math.cos(2 * Math.PI * this.#random.next())
    return Math.round(Math.min(most, Math.max(least, median * Math.exp(sigma * normal))))
  }

  #commands(durationMs: number): { afterMs: number; lastsMs: number }[] {
    const count = 1 + Math.floor(this.#random.next() * 3)
    return Array.from({ length: count }, () => ({
      afterMs: Math.round((durationMs / (count + 1)) * this.#random.next()),
      lastsMs: this.#random.next() < 0.5 ? 0 : Math.round(Math.min(20 * secondMs, durationMs / 10) * this.#random.next()),
    }))
  }
}

function rate(ofDayMs: number): number {
  const hour = ofDayMs / hourMs
  const from = Math.floor(hour) % curve.length
  const [before, after] = [curve[from] as number, curve[(from + 1) % curve.length] as number]
  return before + (after - before) * (hour - Math.floor(hour))
}

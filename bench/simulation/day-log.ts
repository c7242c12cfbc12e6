import type { DayTask } from './day-workload.ts'

/** What a lease cost that was had at once, with nobody else asking meanwhile. */
export interface LeaseCosts {
  /** One for each: containers that there were, real milliseconds, processor milliseconds, requests to servers. */
  count: number
  containers: Float32Array
  ms: Float32Array
  cpuMs: Float32Array
  requests: Float32Array
}

interface TenantWaits {
  waits: number
  waitedMs: number
  /** What it would have waited in one line for all: each slot that was given would have been for whoever had waited longest. */
  dueMs: number
}

/**
 * Jain's index of what so many tenants waited, each in parts of what it would have waited in one line for all: 1 when these are the same. A wait by itself
 * says nothing of fairness: most of it hangs on with how many others one came.
 */
export interface Fairness {
  index: number
  tenants: number
}

interface Waiting {
  tenant: number
  cameAtMs: number
}

/** Keeps book of what becomes of the tasks. */
export class DayLog {
  /** How many ended in which way: `released`, `expired`, or the code of an error. */
  readonly outcomes = new Map<string, number>()
  /** In milliseconds of simulated time: how long those waited that did, by whether they had their slot in the end. */
  readonly waits: number[] = []
  readonly waitsInVain: number[] = []
  readonly costs: LeaseCosts
  /** Those that have or want a slot. */
  present = 0
  /** Those that were served before somebody of the same manager who had come before them; while a container was silent, whose tasks have to wait for it. */
  overtaken = 0
  overtakenInSilence = 0
  /** Commands that found what another task had left. */
  foreign = 0
  /** Leases that another manager was given for a task that had one, and were not that one. */
  second = 0
  readonly #now: () => number
  readonly #silent: () => boolean
  /** By manager, in the order in which they came. */
  readonly #waiting: readonly Map<string, Waiting>[]
  /** Those who would wait now in one line for all. */
  readonly #oneLine = new Map<string, Waiting>()
  readonly #tenants: TenantWaits[]
  /** Those since fairness was last asked for. */
  #recent: TenantWaits[]

  constructor(options: { tasks: number; managers: number; tenants: number; now: () => number; silent: () => boolean }) {
    const { tasks, managers, tenants, now, silent } = options
    this.#now = now
    this.#silent = silent
    this.#waiting = Array.from({ length: managers }, () => new Map())
    this.#tenants = Array.from({ length: tenants }, noWait)
    this.#recent = this.#tenants.map(noWait)
    const column = (): Float32Array => new Float32Array(tasks)
    this.costs = { count: 0, containers: column(), ms: column(), cpuMs: column(), requests: column() }
  }

  /** How many wait for a slot, of one manager or of all. */
  get waiting(): number {
    return this.#waiting.reduce((sum, one) => sum + one.size, 0)
  }

  came({ id, manager, tenant }: DayTask): void {
    this.present++
    const waiting = { tenant, cameAtMs: this.#now() }
    this.#waiting[manager]?.set(id, waiting)
    this.#oneLine.set(id, waiting)
  }

  /** It has its slot. Returns how long it waited. */
  served(task: DayTask): number {
    const waitedMs = this.#leaveLine(task)
    this.#due()
    const [first] = this.#waiting[task.manager]?.values() ?? []
    if (first && first.cameAtMs < this.#now() - waitedMs) {
      if (this.#silent()) this.overtakenInSilence++
      else this.overtaken++
    }
    if (waitedMs > 0) this.waits.push(waitedMs)
    return waitedMs
  }

  /** It has no slot, and goes. */
  refused(task: DayTask, code: string): void {
    this.waitsInVain.push(this.#leaveLine(task))
    // Who would have had a slot by now leaves it to the next.
    this.#due(this.#oneLine.has(task.id) ? task.id : undefined)
    this.left(code)
  }

  /** It had a slot, and goes. */
  left(outcome: string): void {
    this.present--
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1)
  }

  cost(containers: number, ms: number, cpuMs: number, requests: number): void {
    const { costs } = this
    const at = costs.count++
    costs.containers[at] = containers
    costs.ms[at] = ms
    costs.cpuMs[at] = cpuMs
    costs.requests[at] = requests
  }

  /** Over all the time. */
  get fairness(): Fairness {
    return fairnessOf(this.#tenants, 20)
  }

  /** The same, of the waits since it was last asked for. */
  takeFairness(): Fairness {
    const recent = this.#recent
    this.#recent = recent.map(noWait)
    return fairnessOf(recent, 5)
  }

  #leaveLine({ id, manager, tenant }: DayTask): number {
    const line = this.#waiting[manager] as Map<string, Waiting>
    const waitedMs = this.#now() - (line.get(id) as Waiting).cameAtMs
    line.delete(id)
    for (const own of waitedMs > 0 ? this.#booksOf(tenant) : []) {
      own.waits++
      own.waitedMs += waitedMs
    }
    return waitedMs
  }

  /** One leaves the line that would be one for all: the first, who has a slot, or one who goes. */
  #due(id = this.#oneLine.keys().next().value as string): void {
    const { tenant, cameAtMs } = this.#oneLine.get(id) as Waiting
    this.#oneLine.delete(id)
    for (const own of this.#booksOf(tenant)) own.dueMs += this.#now() - cameAtMs
  }

  #booksOf(tenant: number): TenantWaits[] {
    return [this.#tenants[tenant], this.#recent[tenant]].flatMap((one) => one ?? [])
  }
}

const noWait = (): TenantWaits => ({ waits: 0, waitedMs: 0, dueMs: 0 })

/** Of the tenants that waited at least so often: of others single waits decide. */
function fairnessOf(tenants: readonly TenantWaits[], leastWaits: number): Fairness {
  const parts = tenants.filter((one) => one.waits >= leastWaits).map(({ waitedMs, dueMs }) => waitedMs / dueMs)
  if (parts.length === 0) return { index: 1, tenants: 0 }
  // Who waits where nobody would have to: as unfair as can be.
  if (parts.includes(Number.POSITIVE_INFINITY)) return { index: 1 / parts.length, tenants: parts.length }
  const sum = parts.reduce((all, one) => all + one, 0)
  const squares = parts.reduce((all, one) => all + one * one, 0)
  return { index: sum ** 2 / (parts.length * squares), tenants: parts.length }
}

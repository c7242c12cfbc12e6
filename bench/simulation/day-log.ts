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
}

/** Jain's index of the mean waits of so many tenants: 1 when all are the same. */
export interface Fairness {
  index: number
  tenants: number
}

interface Waiting {
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
  readonly #tenants: TenantWaits[]
  /** Those since fairness was last asked for. */
  #recent: TenantWaits[]

  constructor(options: { tasks: number; managers: number; tenants: number; now: () => number; silent: () => boolean }) {
    const { tasks, managers, tenants, now, silent } = options
    this.#now = now
    this.#silent = silent
    this.#waiting = Array.from({ length: managers }, () => new Map())
    const noWaits = (): TenantWaits[] => Array.from({ length: tenants }, () => ({ waits: 0, waitedMs: 0 }))
    this.#tenants = noWaits()
    this.#recent = noWaits()
    const column = (): Float32Array => new Float32Array(tasks)
    this.costs = { count: 0, containers: column(), ms: column(), cpuMs: column(), requests: column() }
  }

  /** How many wait for a slot, of one manager or of all. */
  get waiting(): number {
    return this.#waiting.reduce((sum, one) => sum + one.size, 0)
  }

  came({ id, manager }: DayTask): void {
    this.present++
    this.#waiting[manager]?.set(id, { cameAtMs: this.#now() })
  }

  /** It has its slot. Returns how long it waited. */
  served(task: DayTask): number {
    const waitedMs = this.#leaveLine(task)
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

  /** How alike the tenants' mean waits are, over all the time. */
  get fairness(): Fairness {
    return fairnessOf(this.#tenants, 20)
  }

  /** The same, of the waits since it was last asked for. */
  takeFairness(): Fairness {
    const recent = this.#recent
    this.#recent = recent.map(() => ({ waits: 0, waitedMs: 0 }))
    return fairnessOf(recent, 5)
  }

  #leaveLine({ id, manager, tenant }: DayTask): number {
    const line = this.#waiting[manager] as Map<string, Waiting>
    const waitedMs = this.#now() - (line.get(id) as Waiting).cameAtMs
    line.delete(id)
    for (const own of waitedMs > 0 ? [this.#tenants[tenant], this.#recent[tenant]] : []) {
      if (!own) continue
      own.waits++
      own.waitedMs += waitedMs
    }
    return waitedMs
  }
}

/** Of the tenants that waited at least so often: others have no mean to speak of. */
function fairnessOf(tenants: readonly TenantWaits[], leastWaits: number): Fairness {
  const means = tenants.filter((one) => one.waits >= leastWaits).map(({ waits, waitedMs }) => waitedMs / waits)
  const sum = means.reduce((all, one) => all + one, 0)
  const squares = means.reduce((all, one) => all + one * one, 0)
  return { index: means.length === 0 ? 1 : sum ** 2 / (means.length * squares), tenants: means.length }
}

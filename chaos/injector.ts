import { setTimeout as delay } from 'node:timers/promises'
import type { Container } from '../lib/backend/backend.ts'
import type { AnswerTo, Cut, CuttingProxies } from './cutting-proxies.ts'
import type { PlannedFault } from './fault-plan.ts'
import type { ContainerFault, Place } from './places/place.ts'
import type { Supervisor } from './supervisor.ts'
import type { TaskRecord } from './task-record.ts'

/** After a fault the pool is given so long to have all its containers again. */
const recoveryPatienceMs = 120_000
const lookPauseMs = 300

/** A fault as it was carried out. */
export interface InjectedFault {
  plan: PlannedFault
  /** What it met, in words; undefined when it could not be done. */
  met: string | undefined
}

/** What of the run faults are done to. */
export interface InjectorOptions {
  plan: readonly PlannedFault[]
  place: Place
  proxies: CuttingProxies
  supervisor: Supervisor
  containers: number
  /** Makes the pool have all its containers again. */
  refill: () => Promise<void>
  say: (line: string) => void
  signal: AbortSignal
}

/** How late it may be heard of that a task has a slot, on a busy machine. */
const reportLagMs = 2_000

/** A fault that goes on: who comes to have a slot where it is, is touched by it, too. */
interface Underway {
  number: number
  plan: PlannedFault
  containers: ReadonlySet<string>
  meetsAllWhoAsk: boolean
}

/** Carries out the faults of a plan when their time has come, and notes which tasks each met. */
export class Injector {
  readonly #options: InjectorOptions
  readonly injected: InjectedFault[] = []
  /** Faults that could not be carried out, or from which the pool did not recover. */
  readonly failures: string[] = []
  readonly #underWay = new Set<Underway>()
  readonly #running = new Set<Promise<void>>()
  #next = 0

  constructor(options: InjectorOptions) {
    this.#options = options
    const { supervisor } = options
    supervisor.on('progress', () => this.#beginThoseDue())
    supervisor.on('step', (task) => {
      // Who had asked before is given a slot there yet; who asks from now on is none of its business.
      for (const fault of this.#underWay) if (task.state === 'leased' || fault.meetsAllWhoAsk) this.#touchIfMet(fault, task)
    })
  }

  /** Those of the plan whose time has not come, in words. */
  get notInjected(): string[] {
    const { plan, supervisor } = this.#options
    return plan.slice(this.#next).map((due, at) => {
      return `fault ${this.#next + at + 1}, ${due.name}: expected after ${due.afterCommands} commands, got ${supervisor.commandsOver}`
    })
  }

  /** The tasks have ended. Resolves when all that was begun is over. */
  async settled(): Promise<void> {
    this.#options.proxies.giveUpCuts()
    while (this.#running.size > 0) await Promise.all(this.#running)
  }

  #beginThoseDue(): void {
    const { plan, supervisor } = this.#options
    for (;;) {
      const due = plan[this.#next]
      if (!due || due.afterCommands > supervisor.commandsOver) return
      const number = this.#next++
      const injected: InjectedFault = { plan: due, met: undefined }
      this.injected.push(injected)
      const running = this.#carryOut(number, injected).catch((error: unknown) => {
        if (!this.#options.signal.aborted) this.failures.push(`fault ${number + 1}, ${due.name}: ${(error as Error).message}`)
      })
      this.#running.add(running)
      void running.finally(() => this.#running.delete(running))
    }
  }

  async #carryOut(number: number, injected: InjectedFault): Promise<void> {
    const { plan } = injected
    await delay(plan.delayMs)
    if (this.#options.signal.aborted) return
    if (plan.name === 'manager-kill') injected.met = this.#killManager(number, plan)
    else if (plan.name === 'connection-cut') injected.met = await this.#cut(number, plan)
    else await this.#harmContainer(number, injected)
    this.#options.say(`fault ${number + 1} of ${this.#options.plan.length}: ${plan.name}: ${injected.met ?? 'nothing was there to be met'}`)
  }

  #killManager(number: number, plan: PlannedFault): string {
    const { supervisor } = this.#options
    const at = Math.floor(plan.which * supervisor.managers)
    const tasks = supervisor.killManager(at)
    for (const task of tasks) task.touch(number, plan.name)
    return `manager ${at} with ${tasks.length} tasks`
  }

  async #cut(number: number, plan: PlannedFault): Promise<string | undefined> {
    const { supervisor, proxies } = this.#options
    const cut = await proxies.cut(...cutOf(plan))
    if (!cut) return undefined
    const task = this.#cutTask(cut)
    task?.touch(number, plan.name)
    // What is about none is about the roster or a channel: all may need it who are asking for a slot, or have one there.
    const containers = new Set([cut.containerId])
    if (!task) for (const one of supervisor.underWay) this.#touchIfMet({ number, plan, containers }, one)
    const where = cut.bytes === null ? 'before its request had come' : `after ${cut.bytes} bytes`
    return `the answer to ${cut.asked} of ${task?.plan.id ?? 'nobody in particular'}, ${where}`
  }

  #cutTask({ taskId, leaseId }: Cut): TaskRecord | undefined {
    const { supervisor } = this.#options
    return (taskId === undefined ? undefined : supervisor.byId(taskId)) ?? (leaseId === undefined ? undefined : supervisor.byLease(leaseId))
  }

  async #harmContainer(number: number, injected: InjectedFault): Promise<void> {
    const { place, supervisor } = this.#options
    const { plan } = injected
    const fault = place.faults[plan.name] as ContainerFault
    const container = await this.#chooseContainer(plan)
    if (!container) return
    await place.note()
    const met = fault.meets ? await fault.meets(container) : [container.id]
    injected.met = met.length === 1 ? `container ${container.index}` : `${met.length} containers`
    const underWay: Underway = { number, plan, containers: new Set(met), meetsAllWhoAsk: fault.meetsAllWhoAsk ?? false }
    for (const task of supervisor.underWay) this.#touchIfMet(underWay, task)
    this.#underWay.add(underWay)
    try {
      await fault.inject(container, plan.extent)
      await this.#recovered()
    } finally {
      // Who had a slot there may be heard of later: what a manager tells comes when this process gets to it.
      setTimeout(() => this.#underWay.delete(underWay), reportLagMs).unref()
    }
  }

  async #chooseContainer({ where }: PlannedFault): Promise<Container | undefined> {
    const ready = (await this.#options.place.backend.list()).filter((one) => one.state === 'ready')
    return ready[Math.floor(where * ready.length)]
  }

  /** Resolves when the pool has all its containers again. */
  async #recovered(): Promise<void> {
    const { place, containers, refill, signal } = this.#options
    const giveUpAt = Date.now() + recoveryPatienceMs
    while (!signal.aborted) {
      // Who refills it beside managers that do so, too, may be refused for what they do meanwhile.
      const failure = await refill().then(
        () => undefined,
        (error: Error) => error,
      )
      const ready = (await place.backend.list()).filter((one) => one.state === 'ready').length
      if (ready >= containers) break
      if (Date.now() > giveUpAt) throw failure ?? new Error(`the pool has ${ready} of ${containers} containers`)
      await delay(lookPauseMs)
    }
    await place.note()
  }

  /** Who is asking for a slot now may have asked there. */
  #touchIfMet({ number, plan, containers }: Omit<Underway, 'meetsAllWhoAsk'>, task: TaskRecord): void {
    const met = task.state === 'leasing' || (task.state === 'leased' && task.containerId !== null && containers.has(task.containerId))
    if (met) task.touch(number, plan.name)
  }
}

/** Most answers are to commands, but those to leases and releases are where more can be lost. */
const cutKinds: readonly (readonly [to: AnswerTo, share: number, mostBytes: number])[] = [
  ['command', 0.5, 200_000],
  ['lease', 0.25, 2_000],
  ['release', 0.15, 200],
  ['any', 0.1, 1_000],
]

/** Of those cuts that lose the request, and with it the answer. */
const requestShare = 0.25

function cutOf({ which, where, extent }: PlannedFault): [to: AnswerTo, afterBytes: number | null] {
  let bound = 0
  const [to, , mostBytes] = cutKinds.find(([, share]) => {
    bound += share
    return which < bound
  }) ?? ['any', 0, 1]
  // As likely within the first ten bytes as within the first hundred: most answers are short.
  return [to, where < requestShare ? null : Math.floor(mostBytes ** extent)]
}

import { type Slot, SlotPool, SlotpoolError } from 'slotpool'
import { FakeBackend, type Script } from 'slotpool/fake'
import type { Random } from '../random.ts'
import { DayLog } from './day-log.ts'
import { type DayTask, DayWorkload, hourMs, type WorkloadOptions } from './day-workload.ts'
import { MeasuredBackend } from './measured-backend.ts'
import { SimulatedClock } from './simulated-clock.ts'
import { Stillness } from './stillness.ts'

/** A pool and the day that it has. */
export interface DayOptions {
  workload: WorkloadOptions
  slots: number
  min: number
  max: number
  lifetimeMs: number
  scaleDownMs: number
  /** How long a container takes to start. */
  startMs: number
  /** How many containers die, and how many fall silent for how long at most. */
  deaths: number
  silences: { count: number; mostMs: number }
}

/** What the pool was grown to, and what was so at that moment. */
export interface Growth {
  hour: number
  count: number
  containers: number
  starting: number
  leased: number
  waiting: number
  /** Free slots of containers that are silent. */
  outOfReach: number
  /** So many containers have room for who has a slot and who waits for one. */
  needed: number
}

/** Who had to wait for a silent container asks it again within this. */
const askedAgainMs = 1_000

const ownerFile = '/workspace/owner'

/** Thousands of tasks at pools of several managers, all in this process and in simulated time. */
export class SimulatedDay {
  readonly clock = new SimulatedClock(Date.UTC(2026, 0, 5))
  readonly startedAtMs = this.clock.now()
  readonly backend: FakeBackend
  readonly log: DayLog
  readonly pools: SlotPool[] = []
  readonly growths: Growth[] = []
  removals = 0
  readonly #options: DayOptions
  readonly #random: Random
  readonly #workload: DayWorkload
  readonly #stillness: Stillness
  readonly #lives = new Set<Promise<void>>()
  readonly #silent = new Set<string>()
  #next = 0

  constructor(options: DayOptions, random: Random) {
    this.#options = options
    this.#random = random
    const { workload, slots, startMs } = options
    this.#workload = new DayWorkload(workload, random)
    this.backend = new FakeBackend({ slots, startMs, connections: 'memory', clock: this.#serverClock(), script: this.#script })
    this.log = new DayLog({ ...workload, now: () => this.clock.now(), silent: () => this.#silent.size > 0 })
    this.#stillness = new Stillness(() => this.backend.traffic.pieces)
  }

  /** Simulated milliseconds since the day began. */
  get atMs(): number {
    return this.clock.now() - this.startedAtMs
  }

  /** Whether all tasks have come, and gone. */
  get over(): boolean {
    return this.#next === this.#workload.atMs.length && this.#lives.size === 0
  }

  async begin(): Promise<void> {
    const { workload, slots, min, max, lifetimeMs, scaleDownMs, deaths, silences } = this.#options
    const backend = new MeasuredBackend(this.backend, { onGrow: (count) => this.#noteGrowth(count), onRemove: () => this.removals++ })
    for (let manager = 0; manager < workload.managers; manager++) {
      const opening = SlotPool.open({
        backend,
        clock: this.clock,
        pool: 'day',
        slots,
        min,
        max,
        lifetimeMs,
        scaleDownMs,
        onNotice: () => {},
      })
      this.pools.push(await this.#inTime(opening))
    }
    for (let death = 0; death < deaths; death++) this.#at(this.#random.next() * workload.lengthMs, () => this.#kill())
    for (let silence = 0; silence < silences.count; silence++) {
      const lengthMs = 5_000 + this.#random.next() * silences.mostMs
      this.#at(this.#random.next() * workload.lengthMs, () => this.#silence(lengthMs))
    }
  }

  /** Lets time pass until so many milliseconds after the day began, with all that happens meanwhile. */
  async passUntil(atMs: number): Promise<void> {
    const untilMs = this.startedAtMs + atMs
    for (;;) {
      const nextMs = this.startedAtMs + (this.#workload.atMs[this.#next] ?? Number.POSITIVE_INFINITY)
      if (nextMs > untilMs) break
      await this.#pass(nextMs)
      await this.#arrivals()
    }
    await this.#pass(untilMs)
  }

  /** Ends the pool, and what waits in it. */
  async end(): Promise<void> {
    const [first, ...others] = this.pools
    for (const pool of others) await this.#inTime(pool.close())
    await this.#inTime(first?.down() ?? Promise.resolve())
    await this.#stillness.come()
  }

  /** Calls what is due, and waits after each moment until nothing goes on any more. */
  async #pass(untilMs: number): Promise<void> {
    let unnoticed = 0
    for (let moment = this.clock.take(untilMs); moment; moment = this.clock.take(untilMs)) {
      if (unnoticed > (moment.noticed ? 0 : 1_000)) {
        await this.#stillness.come()
        unnoticed = 0
      }
      this.clock.call(moment)
      if (moment.noticed) await this.#stillness.come()
      else unnoticed++
    }
    this.clock.moveTo(untilMs)
  }

  /** All that come at this moment. */
  async #arrivals(): Promise<void> {
    const { atMs } = this.#workload
    const from = this.#next
    while (this.#next < atMs.length && atMs[this.#next] === atMs[from]) this.#next++
    const requests = this.backend.traffic.requests
    const cpu = process.cpuUsage()
    let tookMs: number | undefined
    for (let at = from; at < this.#next; at++) {
      const task = this.#workload.task(at)
      const life = this.#live(task, (ms) => {
        tookMs = ms
      }).finally(() => this.#lives.delete(life))
      this.#lives.add(life)
    }
    const { containers } = this.backend.usage()
    await this.#stillness.come()
    const { user, system } = process.cpuUsage(cpu)
    if (this.#next - from === 1 && tookMs !== undefined) {
      this.log.cost(containers, tookMs, (user + system) / 1_000, this.backend.traffic.requests - requests)
    }
  }

  async #live(task: DayTask, onServedAtOnce: (tookMs: number) => void): Promise<void> {
    const { id, manager, waitMs, forgotten } = task
    const pool = this.pools[manager] as SlotPool
    this.log.came(task)
    const beganAt = performance.now()
    let slot: Slot
    try {
      slot = await pool.lease(id, { waitMs, heartbeat: !forgotten })
    } catch (error) {
      this.log.refused(task, codeOf(error))
      return
    }
    if (this.log.served(task) === 0) onServedAtOnce(performance.now() - beganAt)
    try {
      await this.#work(task, slot)
      if (!forgotten) await slot.release()
      this.log.left(forgotten ? 'expired' : 'released')
    } catch (error) {
      // A slot whose command has no outcome is there all the same.
      await slot.release().catch(() => {})
      this.log.left(codeOf(error))
    }
  }

  async #work(task: DayTask, slot: Slot): Promise<void> {
    const goesAtMs = this.clock.now() + task.durationMs
    let known = false
    for (const { afterMs, lastsMs } of task.commands) {
      await this.#sleep(afterMs)
      await this.#command(slot, task.id, lastsMs, known)
      known = true
    }
    if (task.visited) {
      const other = this.pools[(task.manager + 1) % this.pools.length] as SlotPool
      const visited = await other.lease(task.id, { waitMs: task.waitMs, heartbeat: false })
      if (visited.leaseId !== slot.leaseId) this.log.second++
      await this.#command(visited, task.id, 0, known)
    }
    await this.#sleep(Math.max(0, goesAtMs - this.clock.now()))
  }

  /** A slot keeps what its own task left there, and has nothing of any other. */
  async #command(slot: Slot, taskId: string, lastsMs: number, known: boolean): Promise<void> {
    const { stdout } = await slot.exec(`${taskId} ${lastsMs}`, { timeoutMs: 600_000 })
    if (stdout !== (known ? taskId : '')) this.log.foreign++
  }

  readonly #script: Script = async ({ command, files }) => {
    const [taskId = '', lastsMs] = command.split(' ')
    const stdout = files.get(ownerFile) ?? ''
    files.set(ownerFile, Buffer.from(taskId))
    if (lastsMs !== '0') await this.#sleep(Number(lastsMs))
    return { stdout }
  }

  #kill(): void {
    const id = this.#someContainer()
    if (id !== undefined) void this.backend.kill(id)
  }

  #silence(lengthMs: number): void {
    const id = this.#someContainer()
    if (id === undefined) return
    this.#silent.add(id)
    this.backend.pause(id)
    this.clock.after(lengthMs, () => {
      this.backend.resume(id)
      this.clock.after(askedAgainMs, () => this.#silent.delete(id))
    })
  }

  #someContainer(): string | undefined {
    const ids = this.backend.ids().filter((id) => !this.#silent.has(id))
    return ids[Math.floor(this.#random.next() * ids.length)]
  }

  #noteGrowth(count: number): void {
    const { containers, starting, leased, outOfReach } = this.backend.usage()
    if (count <= containers) return
    const { slots, min } = this.#options
    const { waiting } = this.log
    const needed = Math.max(min, Math.ceil((leased + outOfReach + waiting) / slots))
    this.growths.push({ hour: this.atMs / hourMs, count, containers, starting, leased, waiting, outOfReach, needed })
  }

  #at(afterMs: number, what: () => void): void {
    this.clock.after(afterMs, what)
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.clock.after(ms, resolve))
  }

  /** Servers look at each lease every ten seconds; all else that they wait for is waited for. */
  #serverClock() {
    return {
      now: () => this.clock.now(),
      after: (delayMs: number, callback: () => void, keepsAlive?: boolean) =>
        keepsAlive || delayMs > 10_000 ? this.clock.after(delayMs, callback) : this.clock.unnoticed.after(delayMs, callback),
    }
  }

  /** Lets time pass for as long as something takes. */
  async #inTime<T>(work: Promise<T>): Promise<T> {
    let over = false
    const ended = work.finally(() => {
      over = true
    })
    ended.catch(() => {})
    await this.#stillness.come()
    while (!over) {
      await this.#pass(this.clock.now() + 1_000)
      await this.#stillness.come()
    }
    return ended
  }
}

function codeOf(error: unknown): string {
  if (error instanceof SlotpoolError) return error.code
  throw error
}

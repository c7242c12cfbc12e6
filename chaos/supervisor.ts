import { EventEmitter } from 'node:events'
import type { SlotPoolOptions } from '../lib/config.ts'
import { SlotpoolError } from '../lib/errors.ts'
import { ManagerProcess } from './manager-process.ts'
import type { FromManager } from './messages.ts'
import type { TaskRecord } from './task-record.ts'

type Question = Extract<FromManager, { type: 'ask' }>['question']

export interface SupervisorOptions {
  tasks: readonly TaskRecord[]
  managers: number
  /** How many tasks each has in hand at once. */
  inHand: number
  pool: SlotPoolOptions
  /** Whether managers have a backend of their own, or use the supervisor's. */
  backend: 'own' | 'supervisor'
  mark: string
  answer: (question: Question) => Promise<unknown>
}

interface Seat {
  process: ManagerProcess
  ready: boolean
  tasks: Set<TaskRecord>
  /** It was killed by us: that it ends is no surprise. */
  killed: boolean
}

/**
 * Hands tasks to managers and remembers how far each task is. A manager that ends is started again, and goes on with what it had in hand. Emits
 * `progress` when more commands are over, `step` when a task has come further, and `over` when all have ended, or cannot.
 */
export class Supervisor extends EventEmitter<{ progress: []; step: [TaskRecord]; over: [] }> {
  readonly #options: SupervisorOptions
  readonly #byId: ReadonlyMap<string, TaskRecord>
  readonly #waiting: TaskRecord[]
  readonly #seats: Seat[] = []
  readonly #starting = new Set<Promise<void>>()
  /** Managers that ended although nobody had killed them, with their last words. */
  readonly surprises: string[] = []
  /** Messages that no manager may send. */
  readonly nonsense: string[] = []
  /** Commands that have a result, and those that will have none since their task ended before them. */
  commandsOver = 0
  lastStepAtMs = Date.now()
  #closing = false

  constructor(options: SupervisorOptions) {
    super()
    this.#options = options
    this.#byId = new Map(options.tasks.map((one) => [one.plan.id, one]))
    this.#waiting = [...options.tasks]
  }

  start(): void {
    for (let at = 0; at < this.#options.managers; at++) this.#seat(at, new Set())
  }

  get managers(): number {
    return this.#seats.length
  }

  get tasksEnded(): number {
    return this.#options.tasks.filter((one) => one.state === 'over').length
  }

  /** The tasks that have been begun and have not ended. */
  get underWay(): TaskRecord[] {
    return this.#options.tasks.filter((one) => one.underWay)
  }

  byLease(leaseId: string): TaskRecord | undefined {
    return this.#options.tasks.find((one) => one.leaseId === leaseId)
  }

  byId(taskId: string): TaskRecord | undefined {
    return this.#byId.get(taskId)
  }

  /** Kills a manager without warning; it is started again behind this. Returns the tasks that it had in hand. */
  killManager(at: number): TaskRecord[] {
    const seat = this.#seats[at]
    if (!seat || seat.killed) return []
    seat.killed = true
    const tasks = [...seat.tasks]
    seat.process.kill()
    return tasks
  }

  /** Ends all managers: when they have nothing more to do, or at once. */
  async close(how: 'when done' | 'at once'): Promise<void> {
    this.#closing = true
    for (const { process } of this.#seats) how === 'at once' ? process.kill() : process.send({ type: 'end' })
    await Promise.all(this.#seats.map(({ process }) => process.ended))
    await Promise.all(this.#starting)
  }

  #seat(at: number, tasks: Set<TaskRecord>): void {
    const seat: Seat = { process: new ManagerProcess((message) => this.#take(at, seat, message)), ready: false, tasks, killed: false }
    this.#seats[at] = seat
    const { pool, backend, mark } = this.#options
    seat.process.send({ type: 'open', options: pool, backend, mark })
    const ending = seat.process.ended.then(() => this.#replace(at, seat))
    this.#starting.add(ending)
    void ending.finally(() => this.#starting.delete(ending))
  }

  #replace(at: number, seat: Seat): void {
    if (this.#closing) return
    if (!seat.killed) {
      this.surprises.push(seat.process.lastWords)
      // One that cannot be started is not started for ever.
      if (this.surprises.length > this.#options.managers * 3) {
        this.emit('over')
        return
      }
    }
    this.#seat(at, seat.tasks)
  }

  #take(at: number, seat: Seat, message: FromManager): void {
    // Those that a manager sent before it was killed count.
    this.lastStepAtMs = Date.now()
    switch (message.type) {
      case 'ready':
        seat.ready = true
        for (const task of seat.tasks) this.#hand(seat, task)
        this.#handOut(seat)
        return
      case 'unable':
        this.surprises.push(`manager ${at} could not open the pool: ${message.error.code}: ${message.error.message}`)
        return
      case 'ask':
        void this.#answer(seat, message)
        return
      default:
        this.#step(seat, message)
    }
  }

  #step(seat: Seat, message: Extract<FromManager, { task: string }>): void {
    const task = this.#byId.get(message.task)
    if (!task || !seat.tasks.has(task)) {
      this.nonsense.push(`a manager spoke of task ${message.task}, which it does not have: ${message.type}`)
      return
    }
    switch (message.type) {
      case 'leased':
        task.state = 'leased'
        task.leaseId = message.leaseId
        task.containerId = message.containerId
        break
      case 'asking':
        task.asked.set(message.command, (task.asked.get(message.command) ?? 0) + 1)
        break
      case 'result':
        task.noteResult(message.command, message.result)
        this.#noteCommandsOver(1)
        break
      case 'ended':
        task.endings.push(message.failure ?? task.lossOfCommand)
        task.state = 'over'
        seat.tasks.delete(task)
        this.#noteCommandsOver(task.plan.commands.length - task.results.size)
        break
    }
    this.emit('step', task)
    if (message.type !== 'ended') return
    this.#handOut(seat)
    if (this.#options.tasks.every((one) => one.state === 'over')) this.emit('over')
  }

  #noteCommandsOver(count: number): void {
    this.commandsOver += count
    this.emit('progress')
  }

  #handOut(seat: Seat): void {
    while (seat.ready && !seat.killed && seat.tasks.size < this.#options.inHand) {
      const task = this.#waiting.shift()
      if (!task) return
      seat.tasks.add(task)
      task.state = 'leasing'
      this.#hand(seat, task)
      this.emit('step', task)
    }
  }

  #hand(seat: Seat, task: TaskRecord): void {
    seat.process.send({ type: 'task', task: task.plan, soFar: task.soFar })
  }

  async #answer(seat: Seat, { id, question }: Extract<FromManager, { type: 'ask' }>): Promise<void> {
    try {
      seat.process.send({ type: 'answer', id, value: await this.#options.answer(question) })
    } catch (error) {
      seat.process.send({ type: 'answer', id, error: SlotpoolError.from(error).toJSON() })
    }
  }
}

import { SlotpoolError } from '../errors.ts'
import type { Slot } from '../pool/slot.ts'
import { type OpenOptions, SlotPool } from '../pool/slot-pool.ts'
import { backgroundCommand } from './background.ts'
import { refuseDestructive } from './guard.ts'
import { renderFailure, renderResult, type TerminalResult } from './render.ts'

/** More output than a model reads in one go; what is longer is cut in the middle. */
const maxOutputBytes = 100_000

/** How a command of the tool is run. */
export interface TerminalOptions {
  /** The task, and so the slot. Default: `default`. */
  task_id?: string
  /** Start the command and return at once. Default: false. */
  background?: boolean
  /** Seconds. Default: `TERMINAL_TIMEOUT`. */
  timeout?: number
  /** Run it even where a slot without isolation would refuse it. Default: false. */
  force?: boolean
}

/**
 * The tool that a model calls, over one pool that it opens with the first command. The slot of a task is leased with its first command and
 * released by `cleanup`, or after `TERMINAL_LIFETIME_SECONDS` without one.
 */
export class Terminal implements AsyncDisposable {
  readonly #options: OpenOptions
  #pool: Promise<SlotPool> | undefined
  readonly #slots = new Map<string, Slot>()

  constructor(options: OpenOptions = {}) {
    this.#options = options
  }

  /** Runs a command in the slot of its task. Never throws: a failure of slotpool is `exit_code` 125 and an `error`. */
  async run(command: string, options: TerminalOptions = {}): Promise<TerminalResult> {
    const { task_id: taskId = 'default', background = false, timeout, force = false } = options
    try {
      const pool = await this.#open()
      const timeoutMs = timeoutOf(timeout) ?? pool.config.timeoutMs
      const slot = await this.#slot(pool, taskId)
      if (slot.isolation === 'none' && !force) refuseDestructive(command)
      const result = await this.#exec(slot, background ? backgroundCommand(command) : command, timeoutMs)
      return renderResult(result, timeoutMs)
    } catch (error) {
      return renderFailure(SlotpoolError.from(error))
    }
  }

  /** Releases the slot of a task; one that has none, or whose slot has already come back, is no error. */
  async cleanup(taskId = 'default'): Promise<void> {
    if (!this.#pool) return
    this.#slots.delete(taskId)
    const pool = await this.#pool
    try {
      await pool.release(taskId)
    } catch (error) {
      if (!(error instanceof SlotpoolError) || error.code !== 'TASK_NOT_FOUND') throw error
    }
  }

  /** Releases the slots of all tasks that ran here and lets go of the pool. The next command opens it again. */
  async close(): Promise<void> {
    const opening = this.#pool
    if (!opening) return
    this.#pool = undefined
    const slots = [...this.#slots.values()]
    this.#slots.clear()
    const pool = await opening.catch(() => undefined)
    await Promise.allSettled(slots.map((slot) => slot.release()))
    await pool?.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #exec(slot: Slot, command: string, timeoutMs: number) {
    try {
      return await slot.exec(command, { timeoutMs, maxOutputBytes, mergeStderr: true })
    } catch (error) {
      // Said once: the next command of the task starts over in a new slot, knowing that it does.
      if (
        error instanceof SlotpoolError &&
        ['LEASE_LOST', 'LEASE_NOT_FOUND', 'SERVER_UNREACHABLE', 'EXECUTION_OUTCOME_UNKNOWN'].includes(error.code)
      ) {
        this.#slots.delete(slot.taskId)
      }
      throw error
    }
  }

  /** No heartbeat: what no command uses for its lifetime is released. */
  async #slot(pool: SlotPool, taskId: string): Promise<Slot> {
    const known = this.#slots.get(taskId)
    if (known) return known
    const slot = await pool.lease(taskId, { heartbeat: false })
    this.#slots.set(taskId, slot)
    return slot
  }

  /** One pool for all; an attempt that failed is not kept. */
  #open(): Promise<SlotPool> {
    this.#pool ??= SlotPool.open(this.#options).catch((error) => {
      this.#pool = undefined
      throw error
    })
    return this.#pool
  }
}

function timeoutOf(seconds: number | undefined): number | undefined {
  if (seconds === undefined) return undefined
  if (Number.isFinite(seconds) && seconds > 0 && seconds <= 2_147_483) return Math.ceil(seconds * 1000)
  throw new SlotpoolError('REQUEST_INVALID', `timeout: got ${seconds}, expected seconds above 0 and up to 2147483`)
}

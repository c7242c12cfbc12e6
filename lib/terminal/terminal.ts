import { type ErrorCode, SlotpoolError } from '../errors.ts'
import type { ExecResult } from '../pool/exec.ts'
import type { Slot } from '../pool/slot.ts'
import { type OpenOptions, SlotPool } from '../pool/slot-pool.ts'
import { checkCall, type TerminalOptions } from './arguments.ts'
import { backgroundCommand } from './background.ts'
import { refuseDestructive } from './guard.ts'
import { renderFailure, renderResult, type TerminalResult } from './render.ts'

/** More output than a model reads in one go; what is longer is cut in the middle. */
const maxOutputBytes = 100_000

/** After these the next command of the task asks the pool for its slot anew. */
const slotInDoubt = ['LEASE_LOST', 'LEASE_NOT_FOUND', 'SERVER_UNREACHABLE', 'EXECUTION_OUTCOME_UNKNOWN'] as const

/** One pool from its opening to its closing. */
interface Session {
  pool: Promise<SlotPool>
  /** By task; one that is still being had counts, too. */
  slots: Map<string, Promise<Slot>>
  /** Tasks whose slots may be there, and were not had again since that came to be in doubt. */
  inDoubt: Set<string>
  running: Set<Promise<unknown>>
  /** Aborted by `close`: who is still waiting for a slot gets none. */
  closing: AbortController
}

/**
 * The tool that a model calls, over one pool that it opens with the first command. The slot of a task is leased with its first command and
 * released by `cleanup`, or after `TERMINAL_LIFETIME_SECONDS` without one.
 */
export class Terminal implements AsyncDisposable {
  readonly #options: OpenOptions
  #session: Session | undefined

  constructor(options: OpenOptions = {}) {
    this.#options = options
  }

  /** Runs a command in the slot of its task. Never throws: a failure of slotpool is `exit_code` 125 and an `error`. */
  async run(command: string, options: TerminalOptions = {}): Promise<TerminalResult> {
    try {
      const call = checkCall(command, options)
      const session = this.#open()
      const pool = await session.pool
      const timeoutMs = call.timeoutMs ?? pool.config.timeoutMs
      const slot = await leased(session, call.taskId)
      if (slot.isolation === 'none' && !call.force) refuseDestructive(command)
      const times = { timeoutMs, noOutputTimeoutMs: call.noOutputTimeoutMs }
      const running = exec(session, slot, call.background ? backgroundCommand(command) : command, times)
      return renderResult(await running, { ...times, limits: slot.view.limits })
    } catch (error) {
      return renderFailure(SlotpoolError.from(error))
    }
  }

  /**
   * Tells a model where the commands of its task run: folders, user, network, limits, mounts. Meant for its system prompt. The slot is
   * leased for it, as for a command.
   *
   * @throws {SlotpoolError} as `pool.lease` does.
   */
  async describe(taskId = 'default'): Promise<string> {
    return (await leased(this.#open(), taskId)).describe()
  }

  /** Releases the slot of a task; one that has none, or whose slot has already come back, is no error. */
  async cleanup(taskId = 'default'): Promise<void> {
    const session = this.#session
    // A pool that could not be opened has no slot to release; whoever ran a command was told why.
    const pool = await session?.pool.catch(() => undefined)
    if (!session || !pool) return
    const leasing = session.slots.get(taskId)
    session.slots.delete(taskId)
    session.inDoubt.delete(taskId)
    await leasing?.catch(() => {})
    try {
      // Where its container does not answer, the pool is asked whether that is still there at all.
      await pool.release(taskId).catch((error) => (hasCode(error, 'SERVER_UNREACHABLE') ? pool.release(taskId) : Promise.reject(error)))
    } catch (error) {
      if (!hasCode(error, 'TASK_NOT_FOUND')) throw error
    }
  }

  /** Releases the slots of all tasks that ran here and lets go of the pool. The next command opens it again. */
  async close(): Promise<void> {
    const session = this.#session
    if (!session) return
    this.#session = undefined
    session.closing.abort()
    const pool = await session.pool.catch(() => undefined)
    await Promise.allSettled([
      ...[...session.slots.values()].map(async (slot) => (await slot).release()),
      ...[...session.inDoubt].map((taskId) => pool?.release(taskId)),
    ])
    // Their slots are gone: they end now, and say so.
    await Promise.allSettled(session.running)
    await pool?.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** One pool for all; an attempt that failed is not kept. */
  #open(): Session {
    if (this.#session) return this.#session
    const closing = new AbortController()
    const signal = this.#options.signal ? AbortSignal.any([this.#options.signal, closing.signal]) : closing.signal
    const session: Session = {
      pool: SlotPool.open({ ...this.#options, signal }),
      slots: new Map(),
      inDoubt: new Set(),
      running: new Set(),
      closing,
    }
    this.#session = session
    session.pool.catch(() => {
      if (this.#session === session) this.#session = undefined
    })
    return session
  }
}

/** The slot of a task. No heartbeat: what no command uses for its lifetime is released. */
async function leased(session: Session, taskId: string): Promise<Slot> {
  const known = session.slots.get(taskId)
  if (known) return known
  const { signal } = session.closing
  const leasing = session.pool.then((pool) => pool.lease(taskId, { heartbeat: false, signal }))
  session.slots.set(taskId, leasing)
  leasing.then(
    () => session.inDoubt.delete(taskId),
    () => {
      if (session.slots.get(taskId) === leasing) session.slots.delete(taskId)
    },
  )
  return leasing
}

async function exec(
  session: Session,
  slot: Slot,
  command: string,
  { timeoutMs, noOutputTimeoutMs }: { timeoutMs: number; noOutputTimeoutMs: number | undefined },
): Promise<ExecResult> {
  const silence = noOutputTimeoutMs === undefined ? {} : { noOutputTimeoutMs }
  const running = slot.exec(command, { timeoutMs, ...silence, maxOutputBytes, mergeStderr: true })
  session.running.add(running)
  try {
    return await running
  } catch (error) {
    if (hasCode(error, ...slotInDoubt)) {
      session.slots.delete(slot.taskId)
      session.inDoubt.add(slot.taskId)
    }
    throw error
  } finally {
    session.running.delete(running)
  }
}

function hasCode(error: unknown, ...codes: ErrorCode[]): boolean {
  return error instanceof SlotpoolError && codes.includes(error.code)
}

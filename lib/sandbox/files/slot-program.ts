import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import type { Socket } from 'node:net'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { SlotpoolError } from '../../errors.ts'
import { drained } from '../../wire/drained.ts'
import type { LimitName } from '../../wire/limits.ts'
import { drainPipe } from '../drain.ts'
import { programsOf } from '../jail/jail.ts'
import type { ExecutionGroup } from '../limits/execution-group.ts'
import { signalProcess } from '../processes.ts'
import { executionMembers, terminateExecution } from '../terminate.ts'
import { toolPath } from '../tool-path.ts'
import type { FileSlot } from './file-system.ts'
import { Patience, type PatienceLimits } from './patience.ts'

/** Exit codes by which the scripts tell why they refuse. Whatever else a program ends with is a failure too. */
export const exitCodes = { notFound: 44, refused: 45, cutShort: 46 } as const

/** Longer than any reason that a tool gives. */
const maxComplaintBytes = 4 * 1024
/** How often one that was stopped is told to go on. */
const wakings = 5
/** Marks the processes of one request in their environment. */
const requestVariable = 'SLOTPOOL_FILE_REQUEST'

export interface SlotProgramOptions {
  slot: FileSlot
  /** For bash; `$1` and so on are `args`. */
  script: string
  args: readonly string[]
  /** The path that was asked for, for what goes wrong. */
  path: string
  signal: AbortSignal
  patience: PatienceLimits
  /** Whether what it prints is wanted. Default: it is thrown away. */
  output?: boolean
  /** Whether it is given a second pipe to read, descriptor 3. Default: no. */
  control?: boolean
}

/**
 * One program in a jail, as the slot's user, that works on files for the server: whatever a path means there, with its links and mounts, it
 * reaches nothing that a command of the slot could not. Its tools may be the slot's own and mean harm, so nothing that it says is believed,
 * what it prints is bounded, and it is not waited for without limit.
 */
export class SlotProgram {
  readonly path: string
  /** Ends as soon as there is nothing to be read by it. */
  readonly stdin: Writable
  readonly stdout: Readable
  readonly control: Writable | undefined
  /** Its exit code; null when a signal ended it. Its output may yet have to be read. */
  readonly exited: Promise<number | null>
  /** Rejects when the request is given up or has kept the server waiting for too long. */
  readonly failed: Promise<never>
  readonly patience: Patience
  readonly #child: ChildProcess
  readonly #slot: FileSlot
  readonly #group: ExecutionGroup | null
  readonly #graceMs: number
  readonly #mark = randomUUID()
  #complaint: Buffer[] = []
  #over = false
  /** Stops noting which limits are reached, and tells. */
  readonly #reached: (() => LimitName | null) | undefined
  #fail: (error: SlotpoolError) => void = () => {}
  #ending: Promise<void> | undefined

  /** @throws {SlotpoolError} `CANCELLED` when the request was given up before. */
  static async start(options: SlotProgramOptions): Promise<SlotProgram> {
    const { slot, path } = options
    const group = (await slot.bounds?.execution()) ?? null
    let program: SlotProgram | undefined
    const reached = await slot.bounds?.watch(() => {
      const reason = 'the slot has written more than its limit of disk space'
      program?.fail(new SlotpoolError('FILE_FAILED', `got path ${path}: ${reason}`, { details: { path, reason, limit: 'disk' } }))
    })
    try {
      // Nothing is waited for from here on: of a program that has ended, Node throws away what nobody reads.
      program = new SlotProgram(options, group, reached)
      return program
    } catch (error) {
      reached?.()
      group?.leave()
      throw error
    }
  }

  private constructor(options: SlotProgramOptions, group: ExecutionGroup | null, reached: (() => LimitName | null) | undefined) {
    const { slot, script, args, path, signal, patience, output = false, control = false } = options
    if (signal.aborted) throw givenUp(path)
    this.path = path
    this.#slot = slot
    this.#group = group
    this.#reached = reached
    this.#graceMs = patience.graceMs
    this.failed = new Promise((_, reject) => {
      this.#fail = reject
    })
    this.failed.catch(() => {})
    this.patience = new Patience(patience, (waitedMs) => {
      const reason = `the slot did nothing about it for ${waitedMs / 1000} s`
      this.fail(new SlotpoolError('FILE_FAILED', `got path ${path}: ${reason}`, { details: { path, reason } }))
    })
    const { bash, path: programs } = programsOf(slot.jail)
    const env = { PATH: programs, LANG: 'C.UTF-8', [requestVariable]: this.#mark }
    // `--norc`: with a socket for its stdin, bash would take itself for a remote shell and read the user's start files.
    const { file, args: entering } = slot.jail.enter(env, [bash, '--norc', '-c', script, 'slotpool', ...args], slot.bounds?.terms(group))
    const child = spawn(file, entering, {
      stdio: ['pipe', output ? 'pipe' : 'ignore', 'pipe', control ? 'pipe' : 'ignore'],
      env: { PATH: toolPath },
      // A session of its own: a mark to end it by.
      detached: true,
    })
    this.#child = child
    this.stdin = child.stdin as Writable
    this.stdout = child.stdout as Readable
    this.control = (child.stdio[3] as Writable | null) ?? undefined
    // A program that ends early, or reads nothing, says so by its exit code.
    this.stdin.on('error', () => {})
    this.control?.on('error', () => {})
    this.exited = new Promise((resolve, reject) => {
      child.once('exit', resolve)
      child.once('error', (cause) => reject(new SlotpoolError('JAIL_FAILED', `the slot could not be entered: ${cause.message}`, { cause })))
    })
    const abort = (): void => this.fail(givenUp(path))
    signal.addEventListener('abort', abort, { once: true })
    const settle = (): void => {
      this.#over = true
      signal.removeEventListener('abort', abort)
    }
    this.exited.then(settle, settle)
    this.#listen(child.stderr as Readable)
  }

  /** Waits for something that the program has to do. */
  async wait<T>(work: Promise<T>): Promise<T> {
    this.patience.begin()
    try {
      return await Promise.race([work, this.failed])
    } finally {
      this.patience.stop()
    }
  }

  /** Hands it content, no faster than it reads. Content that it does not want is no failure here: its exit code tells. */
  async feed(content: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of content) {
      if (this.#over || this.stdin.destroyed) return
      if (!this.stdin.write(chunk)) await this.wait(Promise.race([drained(this.stdin), this.exited]))
    }
  }

  /**
   * Resolves when it has ended with exit code 0.
   *
   * @throws {SlotpoolError} `FILE_NOT_FOUND`, `FILE_FAILED` when it ended otherwise, with what it said on stderr.
   */
  async outcome(): Promise<void> {
    const code = await this.exited
    if (code === 0) return
    const limit = this.#reached?.() ?? null
    const said = (await this.#said()) || `it ended with ${code ?? 'a signal'}`
    const reason = limit === null ? said : `${said} (the slot has reached its limit: ${limit})`
    const shown = `got path ${this.path}: ${reason}`
    const details = { path: this.path, reason, ...(limit === null ? {} : { limit }) }
    if (code === exitCodes.notFound) throw new SlotpoolError('FILE_NOT_FOUND', shown, { details })
    throw new SlotpoolError('FILE_FAILED', shown, { details })
  }

  /** The request fails, and with it the program. */
  fail(error: SlotpoolError): void {
    this.#fail(error)
    this.end().catch(() => {})
  }

  /** Ends the program and all that it started, and resolves when nothing of it is left. One that ended already is only let go of. */
  end(): Promise<void> {
    this.#ending ??= this.#end()
    return this.#ending
  }

  async #said(): Promise<string> {
    const { stderr } = this.#child
    // What it started may hold the pipe open, so its end is not waited for.
    if (stderr && !stderr.destroyed) await drainPipe(stderr as Socket)
    return Buffer.concat(this.#complaint).toString('utf8').trim()
  }

  async #end(): Promise<void> {
    this.patience.stop()
    // With nobody to read or write any more it ends by itself, unless it was stopped or means harm. Killing it would leave what it had begun.
    this.#release()
    try {
      if (!this.#over && !(await this.#endsWithin(this.#graceMs / 2))) await this.#terminate()
    } finally {
      this.#reached?.()
      this.#group?.leave()
    }
  }

  /** One that was only stopped gets to tidy up. What then is left is killed. */
  async #terminate(): Promise<void> {
    const { jail } = this.#slot
    const marks = {
      slot: jail,
      candidates: () => jail.processes(),
      leader: this.#child.pid ?? 0,
      environmentEntry: `${requestVariable}=${this.#mark}`,
    }
    // Whoever stopped it may do so again.
    const giveUpAt = performance.now() + this.#graceMs / 2
    do {
      for (const { pid, inside } of await executionMembers(marks)) if (inside) signalProcess(pid, 'SIGCONT')
      if (await this.#endsWithin(this.#graceMs / 2 / wakings)) return
    } while (performance.now() < giveUpAt)
    if (this.#group) await this.#group.end()
    else await terminateExecution(marks)
  }

  async #endsWithin(ms: number): Promise<boolean> {
    const over = new AbortController()
    const ended = this.exited.then(
      () => true,
      () => true,
    )
    const late = delay(ms, false, { signal: over.signal }).catch(() => false)
    const gone = await Promise.race([ended, late])
    over.abort()
    return gone
  }

  #listen(stderr: Readable): void {
    let kept = 0
    stderr.on('data', (chunk: Buffer) => {
      const piece = chunk.subarray(0, maxComplaintBytes - kept)
      kept += piece.length
      if (piece.length > 0) this.#complaint.push(Buffer.from(piece))
    })
    stderr.on('error', () => {})
  }

  /** Lets go of its pipes, which what it started may hold open for as long as it likes. */
  #release(): void {
    for (const pipe of [this.stdin, this.control, this.stdout, this.#child.stderr]) pipe?.destroy()
  }
}

function givenUp(path: string): SlotpoolError {
  return new SlotpoolError('CANCELLED', `the request for ${path} was given up`)
}

/**
 * Does `work` with a program; when it fails, nothing of the program is left, and otherwise it has ended by itself.
 *
 * @throws {SlotpoolError} what `work` throws; `CANCELLED` at once, and the program is ended behind that.
 */
export async function withProgram<T>(options: SlotProgramOptions, work: (program: SlotProgram) => Promise<T>): Promise<T> {
  const program = await SlotProgram.start(options)
  try {
    const result = await work(program)
    await program.wait(program.outcome())
    return result
  } catch (error) {
    if (error instanceof SlotpoolError && error.code === 'CANCELLED') throw error
    await program.end()
    throw error
  } finally {
    program.end().catch(() => {})
  }
}

import { type ChildProcess, spawn } from 'node:child_process'
import { constants } from 'node:os'
import { normalize } from 'node:path/posix'
import type { Readable, Writable } from 'node:stream'
import { SlotpoolError } from '../../errors.ts'
import { toolPath } from '../tool-path.ts'
import type { Briefing } from './briefing.ts'
import type { SlotEntry } from './entry-program.ts'
import { type EntryTerms, resourceLimitsText } from './entry-terms.ts'
import { type ForkServerRequest, forkServerProgram } from './fork-server-program.ts'
import { type Forked, type ForkedEnd, ForkedProcess } from './forked.ts'
import { PreparedShell } from './prepared-shell.ts'

const program = forkServerProgram()

/** Of two names of a number, the first is the usual one. */
const signalNames = new Map(
  Object.entries(constants.signals)
    .reverse()
    .map(([name, number]) => [number, name as NodeJS.Signals]),
)

/** What a command is run with in the slot of a {@link ForkServer}. */
export interface ForkTerms {
  /** Absolute, as the slot sees it; it becomes `PWD` as bash's `cd` would have it. */
  cwd: string
  env: Readonly<Record<string, string>>
  /** Named pipes that are open for reading. */
  stdoutPath: string
  /** Default: stderr goes where stdout goes. */
  stderrPath?: string
  terms: EntryTerms
}

/** Forks commands into one slot, without starting a program for each but the slot's own bash. Lives as long as its jail. */
export class ForkServer {
  /** Resolves when it has ended; it never does by itself. */
  readonly over: Promise<void>
  readonly #child: ChildProcess
  readonly #requests: Writable
  readonly #pending = new Map<number, ForkedProcess>()
  #next = 0
  #over = false
  #unread = ''
  #unfit: string | undefined

  private constructor(child: ChildProcess) {
    this.#child = child
    this.#requests = child.stdin as Writable
    this.#requests.on('error', () => {})
    this.over = new Promise((resolve) => {
      child.once('close', resolve).once('error', resolve)
    }).then(() => {
      this.#over = true
      for (const pending of this.#pending.values()) pending.end(goneWithServer)
      this.#pending.clear()
    })
  }

  /** @throws {SlotpoolError} `JAIL_FAILED` when the slot cannot be entered. */
  static async start(way: SlotEntry): Promise<ForkServer> {
    const { keeper, outerUsers = '', view = '', users = '', ownNetwork, identity, capabilities, filter, lastShell = '' } = way
    const args = [
      ...['-e', program, '--', String(keeper), outerUsers, view, users, ownNetwork ? 'own' : 'host'],
      ...[String(identity?.uid ?? ''), String(identity?.gid ?? ''), capabilities.join(','), filter ?? '', lastShell],
    ]
    const child = spawn('perl', args, { stdio: ['pipe', 'pipe', 'pipe'], env: { PATH: toolPath }, cwd: '/', detached: true })
    const server = new ForkServer(child)
    let complaint = ''
    ;(child.stderr as Readable).setEncoding('utf8').on('data', (chunk: string) => {
      complaint = (complaint + chunk).slice(-1000)
    })
    const ready = new Promise<boolean>((resolve) => {
      ;(child.stdout as Readable).setEncoding('utf8').on('data', (chunk: string) => {
        resolve(true)
        server.#read(chunk)
      })
      void server.over.then(() => resolve(false))
    })
    if (await ready) return server
    throw new SlotpoolError('JAIL_FAILED', `the slot could not be entered: ${complaint.trim() || 'its fork server could not be started'}`)
  }

  /** Begins a command. Nothing of it rejects. */
  fork(command: string, of: ForkTerms): Forked {
    const forked = new ForkedProcess()
    this.#ask(this.#next++, forked, 'fork', [...termFields(of), command, ...environmentFields(of)])
    return forked
  }

  /**
   * Makes a shell ready for a command of at most `roomBytes` bytes that has yet to come. The last entry of its environment stands for one of
   * the same length that is not known either.
   */
  prepare(roomBytes: number, briefing: Briefing, of: ForkTerms): PreparedShell {
    const number = this.#next++
    const shell = new PreparedShell({
      number,
      parent: this.#child.pid as number,
      roomBytes,
      briefing,
      ask: (what, ...fields) => this.#send(what, number, fields),
      onUnfit: (reason) => {
        this.#unfit = reason
      },
    })
    const { pipePath, filePath } = briefing
    this.#ask(number, shell, 'prepare', [...termFields(of), pipePath, filePath, String(roomBytes), ...environmentFields(of)])
    return shell
  }

  /** Why no shells can be made ready in this slot. */
  get unfit(): string | undefined {
    return this.#unfit
  }

  /** Ends it and its commands. Resolves when it is gone. */
  async close(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.over
  }

  #ask(number: number, pending: ForkedProcess, what: ForkServerRequest, fields: readonly string[]): void {
    if (this.#over) {
      pending.end(goneWithServer)
      return
    }
    this.#pending.set(number, pending)
    this.#send(what, number, fields)
  }

  #send(what: ForkServerRequest, number: number, fields: readonly string[]): void {
    const text = `${[what, number, ...fields].join('\0')}\0`
    // What is asked for in one turn is one write: waking the other end takes longer than the rest.
    if (this.#requests.writableCorked === 0) {
      this.#requests.cork()
      process.nextTick(() => this.#requests.uncork())
    }
    this.#requests.write(`${Buffer.byteLength(text)}\n${text}`)
  }

  #read(chunk: string): void {
    const lines = (this.#unread + chunk).split('\n')
    this.#unread = lines.pop() as string
    for (const line of lines) {
      const [what, number, first, ...rest] = line.split(' ')
      const pending = this.#pending.get(Number(number))
      if (!pending) continue
      if (what === 'begun') pending.begin(Number(first))
      else if (what === 'ended') {
        this.#pending.delete(Number(number))
        pending.end(forkedEnd(Number(first), rest.join(' ')))
      } else if (pending instanceof PreparedShell) {
        if (what === 'waits') pending.waits(Number(first))
        else pending.lose()
      }
    }
  }
}

const goneWithServer: ForkedEnd = { exitCode: null, signal: 'SIGKILL', unstarted: '' }

/** `status` is that of wait(2). */
function forkedEnd(status: number, unstarted: string): ForkedEnd {
  const ending = status & 0x7f
  const signal = signalNames.get(ending) ?? null
  // Real-time signals have no names; a shell would say this of one.
  const exitCode = ending === 0 ? status >> 8 : 128 + ending
  return { exitCode: signal === null ? exitCode : null, signal, unstarted }
}

function termFields({ stdoutPath, stderrPath = '', cwd, terms }: ForkTerms): string[] {
  return [stdoutPath, stderrPath, cwd, shellPath(cwd), (terms.joinFiles ?? []).join('\n'), resourceLimitsText(terms)]
}

function environmentFields({ env }: ForkTerms): string[] {
  return Object.entries(env).map(([name, value]) => `${name}=${value}`)
}

/** The path by its names, without `.`, `..` and needless slashes. Two at the start, and no more, are for a system to give a meaning (POSIX). */
export function shellPath(path: string): string {
  const plain = normalize(path).replace(/(?<=.)\/$/, '')
  return /^\/\/(?!\/)/.test(path) ? `/${plain}` : plain
}

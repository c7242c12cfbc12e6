import { type ChildProcess, spawn } from 'node:child_process'
import { constants } from 'node:os'
import { normalize } from 'node:path/posix'
import type { Readable, Writable } from 'node:stream'
import { SlotpoolError } from '../../errors.ts'
import { toolPath } from '../tool-path.ts'
import type { SlotEntry } from './entry-program.ts'
import { type EntryTerms, resourceLimitsText } from './entry-terms.ts'
import { forkServerProgram } from './fork-server-program.ts'

const program = forkServerProgram()

/** Of two names of a number, the first is the usual one. */
const signalNames = new Map(
  Object.entries(constants.signals)
    .reverse()
    .map(([name, number]) => [number, name as NodeJS.Signals]),
)

/** A command to be run in the slot of a {@link ForkServer}. */
export interface ForkedCommand {
  command: string
  /** Absolute, as the slot sees it; it becomes `PWD` as bash's `cd` would have it. */
  cwd: string
  env: Readonly<Record<string, string>>
  /** Named pipes that are open for reading. */
  stdoutPath: string
  /** Default: stderr goes where stdout goes. */
  stderrPath?: string
  terms: EntryTerms
}

/** How a command ended; `unstarted` has why it was not begun, as the fork server said it. */
export interface ForkedEnd {
  exitCode: number | null
  signal: NodeJS.Signals | null
  unstarted: string
}

interface Pending {
  begun: (pid: number) => void
  ended: (end: ForkedEnd) => void
}

/** Forks commands into one slot, without starting a program for each but the slot's own bash. Lives as long as its jail. */
export class ForkServer {
  /** Resolves when it has ended; it never does by itself. */
  readonly over: Promise<void>
  readonly #child: ChildProcess
  readonly #requests: Writable
  readonly #pending = new Map<number, Pending>()
  #next = 0
  #over = false
  #unread = ''

  private constructor(child: ChildProcess) {
    this.#child = child
    this.#requests = child.stdin as Writable
    this.#requests.on('error', () => {})
    this.over = new Promise((resolve) => {
      child.once('close', resolve).once('error', resolve)
    }).then(() => {
      this.#over = true
      for (const { begun, ended } of this.#pending.values()) {
        begun(0)
        ended({ exitCode: null, signal: 'SIGKILL', unstarted: '' })
      }
      this.#pending.clear()
    })
  }

  /** @throws {SlotpoolError} `JAIL_FAILED` when the slot cannot be entered. */
  static async start(way: SlotEntry): Promise<ForkServer> {
    const { keeper, outerUsers = '', view = '', users = '', ownNetwork, identity, capabilities, filter } = way
    const args = [
      ...['-e', program, '--', String(keeper), outerUsers, view, users, ownNetwork ? 'own' : 'host'],
      ...[String(identity?.uid ?? ''), String(identity?.gid ?? ''), capabilities.join(','), filter ?? ''],
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

  /** Begins a command. `begun` gives its process as this process sees it, 0 when there is none any more; neither rejects. */
  fork(command: ForkedCommand): { begun: Promise<number>; ended: Promise<ForkedEnd> } {
    const number = this.#next++
    const pending: Partial<Pending> = {}
    const begun = new Promise<number>((resolve) => {
      pending.begun = resolve
    })
    const ended = new Promise<ForkedEnd>((resolve) => {
      pending.ended = resolve
    })
    if (this.#over) return { begun: Promise.resolve(0), ended: Promise.resolve({ exitCode: null, signal: 'SIGKILL', unstarted: '' }) }
    this.#pending.set(number, pending as Pending)
    const { stdoutPath, stderrPath = '', cwd, terms, env } = command
    const fields = [
      ...[
        String(number),
        stdoutPath,
        stderrPath,
        cwd,
        shellPath(cwd),
        (terms.joinFiles ?? []).join('\n'),
        resourceLimitsText(terms),
        command.command,
      ],
      ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
    ]
    const bytes = Buffer.from(`${fields.join('\0')}\0`)
    this.#requests.cork()
    this.#requests.write(`${bytes.length}\n`)
    this.#requests.write(bytes)
    this.#requests.uncork()
    return { begun, ended }
  }

  /** Ends it and its commands. Resolves when it is gone. */
  async close(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.over
  }

  #read(chunk: string): void {
    const lines = (this.#unread + chunk).split('\n')
    this.#unread = lines.pop() as string
    for (const line of lines) {
      const [what, number, first, ...rest] = line.split(' ')
      const pending = this.#pending.get(Number(number))
      if (!pending) continue
      pending.begun(what === 'begun' ? Number(first) : 0)
      if (what !== 'ended') continue
      this.#pending.delete(Number(number))
      const status = Number(first)
      const ending = status & 0x7f
      const signal = signalNames.get(ending) ?? null
      // Real-time signals have no names; a shell would say this of one.
      const exitCode = ending === 0 ? status >> 8 : 128 + ending
      pending.ended({ exitCode: signal === null ? exitCode : null, signal, unstarted: rest.join(' ') })
    }
  }
}

/** The path by its names, without `.`, `..` and needless slashes. Two at the start, and no more, are for a system to give a meaning (POSIX). */
function shellPath(path: string): string {
  const plain = normalize(path).replace(/(?<=.)\/$/, '')
  return /^\/\/(?!\/)/.test(path) ? `/${plain}` : plain
}

import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import type { Cleanup } from '../cleanup.ts'
import type { Outcome, Peer, Streamed } from './peer.ts'

/** How long a driver may take to undo what its system made, before it is killed. */
const closeMs = 10_000

type Request =
  | { op: 'run'; command: string; sandbox: number }
  | { op: 'batch'; command: string; count: number; concurrency: number; expected: string }
  | { op: 'stream'; command: string; hashed: boolean }

interface Answer extends Partial<Outcome>, Partial<Streamed> {
  id: number
  error?: string
  version?: string
}

/**
 * A system in a process of its own, behind requests and answers of one JSON a line. That process takes the times, so the way to it costs the
 * system nothing. Starting a process takes the longer the more memory its parent has, and the benchmark's own has much: the floor would look
 * several times as slow from there.
 */
export class Driver {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #waiting = new Map<number, { resolve: (answer: Answer) => void; reject: (error: Error) => void }>()
  #nextId = 1
  #stderr = ''

  private constructor(file: string, args: readonly string[]) {
    // A group of its own: Ctrl-C is for the benchmark, which then asks the driver to end.
    this.#child = spawn(file, args, { detached: true, stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child.stdin.on('error', () => {})
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = `${this.#stderr}${text}`.slice(-2_000)
    })
    createInterface(this.#child.stdout).on('line', (line) => this.#take(line))
    this.#child.once('error', (error) => this.#fail(error.message))
    this.#child.once('close', (code, signal) => this.#fail(`the driver ended with ${signal ?? code}: ${this.#stderr.trim()}`))
  }

  /** Starts it; resolves when it has said that its system is ready. @throws {Error} with what it says instead. */
  static async start(scope: Cleanup, file: string, args: readonly string[]): Promise<Peer> {
    const driver = new Driver(file, args)
    scope.add(`end ${args[0]}`, () => driver.#close())
    const { version = 'unknown' } = await driver.#answer(0)
    return {
      version,
      run: async (command, sandbox = 0) => (await driver.#ask({ op: 'run', command, sandbox })) as Outcome,
      stream: async (command, hashed) => (await driver.#ask({ op: 'stream', command, hashed })) as Streamed,
      batch: async (command, expected, count, concurrency) =>
        (await driver.#ask({ op: 'batch', command, expected, count, concurrency })).elapsedMs as number,
    }
  }

  #ask(request: Request): Promise<Answer> {
    const id = this.#nextId++
    const answer = this.#answer(id)
    this.#child.stdin.write(`${JSON.stringify({ id, ...request })}\n`)
    return answer
  }

  #answer(id: number): Promise<Answer> {
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
  }

  #take(line: string): void {
    if (!line.startsWith('{')) return
    const answer = JSON.parse(line) as Answer
    const waiting = this.#waiting.get(answer.id)
    this.#waiting.delete(answer.id)
    if (answer.error === undefined) waiting?.resolve(answer)
    else waiting?.reject(new Error(answer.error))
  }

  #fail(why: string): void {
    for (const { reject } of this.#waiting.values()) reject(new Error(why))
    this.#waiting.clear()
  }

  /** The end of its stdin asks it to end. Whatever is left of its group then is killed. */
  async #close(): Promise<void> {
    const { pid } = this.#child
    if (pid === undefined) return
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exit = once(this.#child, 'exit', { signal: AbortSignal.timeout(closeMs) })
      this.#child.stdin.end()
      await exit.catch(() => {})
    }
    try {
      process.kill(-pid, 'SIGKILL')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}

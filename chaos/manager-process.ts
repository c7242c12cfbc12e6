import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { dirname, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FromManager, ToManager } from './messages.ts'

const self = fileURLToPath(import.meta.url)
const program = join(dirname(self), `manager${extname(self)}`)

/** The end of what a manager wrote to stderr that is kept. */
const keptCharacters = 4_000

/** A manager, from the supervisor's side. */
export class ManagerProcess {
  readonly #child: ChildProcess
  /** Resolves when it has ended, and all that it had sent was taken. */
  readonly ended: Promise<void>
  #said = ''

  constructor(onMessage: (message: FromManager) => void) {
    // In a group of its own, so that it is the supervisor's to end: a signal to the whole run would look as if it had ended by itself.
    this.#child = spawn(process.execPath, [...process.execArgv, program], { detached: true, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    this.#child.on('message', onMessage)
    // What cannot be sent is not had by anybody: whoever takes its place is told.
    this.#child.on('error', () => {})
    this.#child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      this.#said = `${this.#said}${chunk}`.slice(-keptCharacters)
    })
    this.ended = Promise.all([once(this.#child, 'disconnect'), once(this.#child, 'close')]).then(() => {})
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** The end of its stderr, and how it ended. */
  get lastWords(): string {
    return `${this.#child.signalCode ?? `exit code ${this.#child.exitCode}`}: ${this.#said.trim() || 'it said nothing'}`
  }

  send(message: ToManager): void {
    if (this.#child.connected) this.#child.send(message, () => {})
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }
}

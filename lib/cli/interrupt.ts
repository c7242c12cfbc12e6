import { SlotpoolError } from '../errors.ts'
import { reportError } from './output.ts'

/** An abort signal for the whole command: Ctrl-C and the like end it in order, so that nothing is left behind. */
export class Interrupt {
  readonly #controller = new AbortController()
  /** 128 and the number of the signal that came, as a shell would have it; undefined while none did. */
  exitCode: number | undefined

  constructor() {
    for (const [name, exitCode] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
      ['SIGHUP', 129],
    ] as const) {
      process.on(name, () => this.#end(exitCode, name))
    }
    // Whoever read the output has gone, as in `slotpool exec … 2>&1 | head`.
    for (const stream of [process.stdout, process.stderr]) {
      stream.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'EPIPE') this.#end(141, 'SIGPIPE')
        else this.#failToWrite(stream === process.stdout ? 'stdout' : 'stderr', error)
      })
    }
  }

  /** A full disk, say. Whoever reads the output must not take the command's exit code for all that it was. */
  #failToWrite(name: 'stdout' | 'stderr', cause: Error): void {
    if (this.exitCode !== undefined) return
    const error = new SlotpoolError('OUTPUT_FAILED', `${name} could not be written: ${cause.message}`, { cause })
    if (name === 'stdout') reportError(error, false)
    this.#end(error.exitCode, error.message)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  #end(exitCode: number, name: string): void {
    // Asked twice, it does not wait for order any more.
    if (this.exitCode !== undefined && name !== 'SIGPIPE') process.exit(exitCode)
    this.exitCode ??= exitCode
    // It may come when all else is done.
    process.exitCode = this.exitCode
    this.#controller.abort(new Error(name))
  }
}

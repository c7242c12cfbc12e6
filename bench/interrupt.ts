import { setMaxListeners } from 'node:events'

/** An abort signal for the whole run. Asked again, it still ends in order: what would be left behind are containers and processes. */
export class Interrupt {
  readonly #controller = new AbortController()
  /** 128 and the number of the signal that came, as a shell would have it; undefined while none did. */
  exitCode: number | undefined

  /** @param program who says on stderr that it was interrupted. */
  constructor(program: string) {
    // As many as there are leases at a time.
    setMaxListeners(0, this.#controller.signal)
    for (const [name, exitCode] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
      ['SIGHUP', 129],
    ] as const) {
      process.on(name, () => {
        this.exitCode ??= exitCode
        console.error(`${program}: ${name}; removing what was made`)
        this.#controller.abort(new Error(`interrupted by ${name}`))
      })
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }
}

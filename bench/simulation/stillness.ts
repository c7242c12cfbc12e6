/** Turns of the event loop without any traffic, after which nothing goes on any more but what waits for time to pass. */
const quietTurns = 4

/**
 * Knows when nothing goes on any more in this process until time is moved: everything here is either on its way through the event loop, or over a
 * connection in memory, or waits for the simulated clock.
 */
export class Stillness {
  readonly #pieces: () => number

  /** `pieces` counts what went over the connections in memory so far. */
  constructor(pieces: () => number) {
    this.#pieces = pieces
  }

  /** Resolves when it is still. */
  async come(): Promise<void> {
    let seen = this.#pieces()
    for (let quiet = 0; quiet < quietTurns; quiet++) {
      await new Promise((resolve) => setImmediate(resolve))
      if (this.#pieces() === seen) continue
      seen = this.#pieces()
      quiet = -1
    }
  }
}

/** As many as Node has threads for files, and as many that wait for one. */
const most = 8

/** Runs work on files side by side, a few at a time: each of its steps alone is mostly waiting. */
export class SideBySide {
  readonly #running = new Set<Promise<void>>()
  #failures: unknown[] = []

  /** Starts it, once there is room. @throws what earlier work threw. */
  async start(work: () => Promise<void>): Promise<void> {
    while (this.#running.size >= most) await Promise.race(this.#running)
    this.#throwFailure()
    const running: Promise<void> = work()
      .catch((error) => void this.#failures.push(error))
      .finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  /** Resolves when nothing runs any more. @throws what any of it threw. */
  async end(): Promise<void> {
    await Promise.all(this.#running)
    this.#throwFailure()
  }

  #throwFailure(): void {
    if (this.#failures.length > 0) throw this.#failures[0]
  }
}

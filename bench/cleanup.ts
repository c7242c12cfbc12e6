/** What was made and has to be undone, last made first, however the run ends. */
export class Cleanup {
  readonly #steps: { what: string; undo: () => Promise<unknown> | unknown }[] = []
  #running: Promise<Error[]> | undefined

  /**
   * Registers how something is undone; best before it is made.
   *
   * @param what completes "could not …".
   * @returns undoes it now, once.
   * @throws {Error} when everything has been undone: what would be made now would stay.
   */
  add(what: string, undo: () => Promise<unknown> | unknown): () => Promise<void> {
    if (this.#running) throw new Error(`nobody would ${what} any more`)
    const step = { what, undo }
    this.#steps.push(step)
    return async () => {
      const at = this.#steps.indexOf(step)
      if (at === -1) return
      await undo()
      this.#steps.splice(this.#steps.indexOf(step), 1)
    }
  }

  /** A part that ends by itself, or with this. */
  part(what: string): Cleanup {
    const part = new Cleanup()
    this.add(what, async () => {
      const [failure] = await part.run()
      if (failure) throw failure
    })
    return part
  }

  /** Undoes everything, one step after the other; one that fails keeps none of the others from being undone. */
  run(): Promise<Error[]> {
    this.#running ??= this.#run()
    return this.#running
  }

  async #run(): Promise<Error[]> {
    const failures: Error[] = []
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step.undo()
      } catch (cause) {
        failures.push(new Error(`could not ${step.what}: ${(cause as Error).message}`, { cause }))
      }
    }
    return failures
  }
}

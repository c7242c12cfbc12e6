import { availableParallelism } from 'node:os'

/**
 * When each jail is made. More at once than there are processors would only make each slower; and the very first has the machine to itself,
 * since somebody may have started the server to work in it.
 */
export class MakingTurns {
  readonly #waiting: (() => void)[] = []
  #atOnce = 1
  #underWay = 0

  /** Runs `make` when it is its turn, first come, first served. */
  async inTurn<T>(make: () => Promise<T>): Promise<T> {
    if (this.#underWay < this.#atOnce) this.#underWay++
    // Counted by who lets it go on.
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await make()
    } finally {
      this.#underWay--
      this.#atOnce = availableParallelism()
      for (const goOn of this.#waiting.splice(0, this.#atOnce - this.#underWay)) {
        this.#underWay++
        goOn()
      }
    }
  }
}

import type { Fifos } from './fifos.ts'
import { Briefing } from './jail/briefing.ts'

/** The briefings of one slot's shells. One that was read to its end serves again. */
export class Briefings {
  readonly #fifos: Fifos
  readonly #free: Briefing[] = []
  #over = false

  /** `ended` is when nothing of the slot can have one open any more. */
  constructor(fifos: Fifos, ended: Promise<void>) {
    this.#fifos = fifos
    void ended.then(() => {
      this.#over = true
      for (const briefing of this.#free.splice(0)) briefing.close()
    })
  }

  async take(): Promise<Briefing> {
    return this.#free.pop() ?? new Briefing(await this.#fifos.next())
  }

  takeBack(briefing: Briefing, wasRead: boolean): void {
    if (wasRead && !this.#over) this.#free.push(briefing)
    else briefing.close()
  }
}

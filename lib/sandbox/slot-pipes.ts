import { rmSync } from 'node:fs'
import type { Fifos, NamedPipe } from './fifos.ts'

/**
 * The named pipes of one slot's commands. One whose writers have all closed it serves again, which spares the server much of what a short
 * command costs it; but for this slot alone, since a process of its tenant might still have it open for reading.
 */
export class SlotPipes {
  readonly #fifos: Fifos
  readonly #free: string[] = []
  #over = false

  /** `ended` is when nothing of the slot can have one open any more. */
  constructor(fifos: Fifos, ended: Promise<void>) {
    this.#fifos = fifos
    void ended.then(() => {
      this.#over = true
      for (const path of this.#free.splice(0)) rmSync(path, { force: true })
    })
  }

  /** One that is open for reading. */
  async take(): Promise<NamedPipe> {
    const pipe = await this.#fifos.openNamed(this.#free.pop())
    // Read to its end, it has no writer; closed before that, it may have one.
    pipe.reader.once('close', () => {
      if (pipe.reader.readableEnded && !this.#over) this.#free.push(pipe.path)
      else rmSync(pipe.path, { force: true })
    })
    return pipe
  }
}

import { closeSync, rmSync } from 'node:fs'
import type { Fifos } from './fifos.ts'
import { OutputPipe, type PipeEnd } from './output-pipe.ts'

/** A pipe that is opened for writing by who is told its name. */
export interface NamedPipe {
  path: string
  pipe: OutputPipe
}

/**
 * The named pipes of one slot's commands. One whose writers have all closed it serves again, which spares the server much of what a short
 * command costs it; but for this slot alone, since a process of its tenant might still have it open for reading.
 */
export class SlotPipes {
  readonly #fifos: Fifos
  /** Those without a descriptor were read as a stream, which closed it. */
  readonly #free: { path: string; readFd: number | undefined }[] = []
  #over = false

  /** `ended` is when nothing of the slot can have one open any more. */
  constructor(fifos: Fifos, ended: Promise<void>) {
    this.#fifos = fifos
    void ended.then(() => {
      this.#over = true
      for (const { path, readFd } of this.#free.splice(0)) remove(path, readFd)
    })
  }

  /** One that is open for reading. */
  async take(): Promise<NamedPipe> {
    const free = this.#free.pop()
    const readFd = free?.readFd
    const { path, readFd: fd } = free && readFd !== undefined ? { path: free.path, readFd } : await this.#fifos.openNamed(free?.path)
    return { path, pipe: new OutputPipe(fd, (end) => this.#takeBack(path, end)) }
  }

  /** Read to its end, it has no writer; closed before that, it may have one. */
  #takeBack(path: string, end: PipeEnd): void {
    const readFd = end.ended ? end.fd : undefined
    if (end.ended && !this.#over) this.#free.push({ path, readFd })
    else remove(path, readFd)
  }
}

function remove(path: string, readFd: number | undefined): void {
  if (readFd !== undefined) closeSync(readFd)
  rmSync(path, { force: true })
}

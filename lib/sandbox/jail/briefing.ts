import { closeSync, constants, fchownSync, openSync, rmSync, writeSync } from 'node:fs'

/** Above those that a slot's user namespace has. */
const outsideUid = 65_536

/**
 * By what a shell that waits is told what it still needs to know: a named pipe on which it waits, and a file that it reads when it is woken. What
 * went through a pipe instead would have no end for as long as another process held the pipe, too.
 */
export class Briefing {
  readonly pipePath: string
  readonly filePath: string
  readonly #pipeFd: number
  readonly #fileFd: number
  #fileBytes = 0

  /** Makes the file beside the pipe, which is there. @throws {Error} when they cannot be opened. */
  constructor(pipePath: string) {
    this.pipePath = pipePath
    this.filePath = `${pipePath}.told`
    // The slot's own user opens it by its descriptor, to read it: it is nobody's there. No other can reach it.
    this.#fileFd = openSync(this.filePath, 'w', 0o444)
    try {
      fchownSync(this.#fileFd, outsideUid, outsideUid)
      this.#pipeFd = openSync(pipePath, constants.O_RDWR | constants.O_NONBLOCK)
    } catch (error) {
      closeSync(this.#fileFd)
      throw error
    }
  }

  /** Tells it. @throws {Error} when not all of it could be written. */
  give(text: string): void {
    const bytes = Buffer.from(text)
    this.#fileBytes = Math.max(this.#fileBytes, bytes.length)
    // What an earlier shell was told goes; to cut the file would cost more.
    const file = Buffer.alloc(this.#fileBytes, '\n')
    bytes.copy(file)
    if (writeSync(this.#fileFd, file, 0, file.length, 0) !== file.length) throw new Error(`${this.filePath}: it was not written`)
    writeSync(this.#pipeFd, '\n')
  }

  /** It is used no more. */
  close(): void {
    for (const fd of [this.#fileFd, this.#pipeFd]) closeSync(fd)
    for (const path of [this.filePath, this.pipePath]) rmSync(path, { force: true })
  }
}

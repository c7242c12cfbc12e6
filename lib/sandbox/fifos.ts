import { execFile } from 'node:child_process'
import { closeSync, constants, openSync, unlinkSync } from 'node:fs'
import { mkdir, realpath, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** How many are made at a time: one `mkfifo` makes this many as fast as one. */
const batchSize = 64

/** Both ends of a pipe for the output of a command. */
export interface PipeEnds {
  readFd: number
  /** The descriptor that the command gets; close it once the command has it. */
  writeFd: number
}

/**
 * Pipes for the output of commands. Node gives a child sockets where a shell would give it pipes, and a socket cannot be opened again by
 * name: `echo warning > /dev/stderr` would fail in a slot. A FIFO that is unlinked as soon as both ends are open behaves as a pipe.
 */
export class Fifos {
  #folder: string
  #ready: string[] = []
  #making: Promise<void> | undefined
  #made = 0

  constructor(folder: string) {
    this.#folder = folder
  }

  async prepare(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    // Whoever opens one from within a slot would follow a link to where it leads there.
    this.#folder = await realpath(this.#folder)
    await this.#makeMore()
  }

  async open(): Promise<PipeEnds> {
    const path = await this.next()
    const readFd = openForReading(path)
    try {
      const writeFd = openSync(path, constants.O_WRONLY)
      return { readFd, writeFd }
    } catch (error) {
      closeSync(readFd)
      throw error
    } finally {
      unlinkSync(path)
    }
  }

  /** Opens the one at `path`, by default a new one, for who is told its name to write to. */
  async openNamed(path?: string): Promise<{ path: string; readFd: number }> {
    path ??= await this.next()
    return { path, readFd: openForReading(path) }
  }

  /** The name of a new one that nobody has open. */
  async next(): Promise<string> {
    while (this.#ready.length === 0) await this.#makeMore()
    const path = this.#ready.pop() as string
    if (this.#ready.length < batchSize / 2) this.#makeMore().catch(() => {})
    return path
  }

  async close(): Promise<void> {
    await this.#making?.catch(() => {})
    await rm(this.#folder, { recursive: true, force: true })
  }

  #makeMore(): Promise<void> {
    this.#making ??= this.#make().finally(() => {
      this.#making = undefined
    })
    return this.#making
  }

  async #make(): Promise<void> {
    const paths = Array.from({ length: batchSize }, () => join(this.#folder, `output-${this.#made++}`))
    // Opened again by name from inside a slot, as /dev/stdout, it is the slot's user that opens it: hence the mode. No other can reach it.
    await promisify(execFile)('mkfifo', ['--mode=0666', '--', ...paths])
    this.#ready.push(...paths)
  }
}

/** First, and without waiting; then the writing end has its reader and does not wait either. */
function openForReading(path: string): number {
  return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
}

import { closeSync, readSync } from 'node:fs'
import type { Socket } from 'node:net'
import { drainPipe, maxPipeBytes } from './drain.ts'
import { pipeReader } from './pipe-reader.ts'

/**
 * After so long the output of a command is read as it comes. Most have ended before: theirs is read at once then, and nobody was woken for it,
 * which takes longer than a short command itself.
 */
const promptMs = 2

const buffer = Buffer.allocUnsafeSlow(64 * 1024)

/** What became of a pipe that is read no more; `fd` is still open when it was read to its end and may serve again. */
export type PipeEnd = { ended: true; fd?: number } | { ended: false }

/** The reading end of a pipe that a command writes to. */
export class OutputPipe {
  readonly #fd: number
  readonly #onOver: (end: PipeEnd) => void
  #reader: Socket | undefined
  #onChunk: (chunk: Buffer) => void = () => {}
  #timer: NodeJS.Timeout | undefined
  #ended = false
  #over = false

  /** `fd` does not block. `onOver` is called once. */
  constructor(fd: number, onOver: (end: PipeEnd) => void) {
    this.#fd = fd
    this.#onOver = onOver
  }

  /** Hands on what is written. A chunk is lent for as long as the call lasts. */
  listen(onChunk: (chunk: Buffer) => void): void {
    this.#onChunk = onChunk
    this.#timer = setTimeout(() => this.#open(), promptMs)
  }

  /** It is read no more. */
  get over(): boolean {
    return this.#over
  }

  /** Whether the writer is kept waiting. */
  get paused(): boolean {
    return this.#reader?.isPaused() ?? false
  }

  pause(): void {
    this.#reader?.pause()
  }

  resume(): void {
    this.#reader?.resume()
  }

  /** Resolves when all that was in it at this moment has been handed on: its command has ended, though others may hold it open. */
  async drain(): Promise<void> {
    clearTimeout(this.#timer)
    if (this.#reader) await drainPipe(this.#reader)
    else if (!this.#over) this.#readNow()
  }

  /** Its command is over: what is written from now on by what that left in the background is read, so that it does not wait, and thrown away. */
  discard(): void {
    clearTimeout(this.#timer)
    this.#onChunk = () => {}
    if (this.#over) return
    if (!this.#reader && this.#ended) this.#end({ ended: true, fd: this.#fd })
    else this.#open().unref().resume()
  }

  /** Nobody may write to it any more. */
  close(): void {
    clearTimeout(this.#timer)
    if (this.#over) return
    if (this.#reader) this.#reader.destroy()
    else {
      closeSync(this.#fd)
      this.#end({ ended: false })
    }
  }

  #open(): Socket {
    if (this.#reader) return this.#reader
    const reader = pipeReader(this.#fd)
    this.#reader = reader
    reader.on('data', (chunk: Buffer) => this.#onChunk(chunk))
    reader.on('error', () => reader.destroy())
    // Closed before it was read to its end, it may have a writer.
    reader.once('close', () => this.#end({ ended: reader.readableEnded }))
    return reader
  }

  #readNow(): void {
    for (let left = maxPipeBytes; left > 0; ) {
      const bytes = readWaiting(this.#fd)
      if (bytes === undefined) return
      this.#ended = bytes === 0
      if (this.#ended) return
      left -= bytes
      this.#onChunk(buffer.subarray(0, bytes))
    }
  }

  #end(end: PipeEnd): void {
    this.#over = true
    this.#reader = undefined
    this.#onOver(end)
  }
}

/** How many bytes were read; 0 at the end, undefined where there is nothing yet. */
function readWaiting(fd: number): number | undefined {
  try {
    return readSync(fd, buffer, 0, buffer.length, null)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return undefined
    throw error
  }
}

import { maxFrameBytes } from '../wire/frames.ts'

/** Unread bytes at which the command is made to wait. */
const maxUnreadBytes = 256 * 1024

/**
 * Bytes kept, read or not: a reader that lost its connection finds what was under way. It leaves room for what a pipe may still hold when
 * its command ends (`drain.ts`), which is taken in at once.
 */
const defaultRetainedBytes = 1536 * 1024

/**
 * The output of one stream of an execution: the last of it, by absolute offset. Readers come and go; while unread output is too
 * much, `full` asks the source to wait, so nothing is lost to a reader that comes back and memory stays bounded.
 */
export class OutputLog {
  readonly #retainedBytes: number
  #chunks: Buffer[] = []
  #start = 0
  #end = 0
  #cursors = new Set<OutputCursor>()
  /** Where the last reader to leave had got to. */
  #left = 0

  constructor(retainedBytes: number = defaultRetainedBytes) {
    this.#retainedBytes = retainedBytes
  }

  /** Bytes written so far. */
  get bytes(): number {
    return this.#end
  }

  /** Bytes held in memory. */
  get heldBytes(): number {
    return this.#end - this.#start
  }

  /** Whether the source should wait. */
  get full(): boolean {
    let slowest = this.#cursors.size === 0 ? this.#left : this.#end
    for (const cursor of this.#cursors) slowest = Math.min(slowest, cursor.offset)
    return this.#end - slowest >= maxUnreadBytes
  }

  append(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#end += chunk.length
    while (this.#end - this.#start - (this.#chunks[0] as Buffer).length >= this.#retainedBytes) {
      this.#start += (this.#chunks.shift() as Buffer).length
    }
  }

  /** Begins to read at an absolute offset. */
  attach(offset: number): OutputCursor {
    const cursor = new OutputCursor(this, offset)
    this.#cursors.add(cursor)
    return cursor
  }

  detach(cursor: OutputCursor): void {
    if (this.#cursors.delete(cursor)) this.#left = Math.max(this.#left, cursor.offset)
  }

  /** What is held from `offset` on, up to one chunk and what a frame can hold; and how much before it is no longer held. */
  read(offset: number): { missedBytes: number; chunk: Buffer | undefined } {
    const missedBytes = Math.max(0, this.#start - offset)
    let skip = offset + missedBytes - this.#start
    // The reader nearly always wants the newest chunks: look from the back.
    let index = this.#chunks.length
    let position = this.#end - this.#start
    while (index > 0 && position > skip) position -= (this.#chunks[--index] as Buffer).length
    skip -= position
    const chunk = this.#chunks[index]?.subarray(skip, skip + maxFrameBytes)
    return { missedBytes, chunk: chunk && chunk.length > 0 ? chunk : undefined }
  }
}

/** One reader's place in an {@link OutputLog}. */
export class OutputCursor {
  readonly #log: OutputLog
  offset: number

  constructor(log: OutputLog, offset: number) {
    this.#log = log
    this.offset = offset
  }

  /** The next bytes, if there are any, and how many were lost before them. */
  next(): { missedBytes: number; chunk: Buffer | undefined } {
    const found = this.#log.read(this.offset)
    this.offset += found.missedBytes + (found.chunk?.length ?? 0)
    return found
  }

  detach(): void {
    this.#log.detach(this)
  }
}

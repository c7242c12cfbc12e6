import { maxFrameBytes } from '../wire/frames.ts'

/** Unread bytes at which the command is made to wait. */
const maxUnreadBytes = 256 * 1024

/**
 * Bytes kept, read or not: a reader that lost its connection finds what was under way. It leaves room for what a pipe may still hold when
 * its command ends (`drain.ts`), which is taken in at once.
 */
const defaultRetainedBytes = 1536 * 1024

/** What is made room for once there is more than a first chunk. */
const firstRingBytes = 4 * 1024
const nothing = Buffer.alloc(0)

/**
 * The output of one stream of an execution: the last of it, by absolute offset. Readers come and go; while unread output is too
 * much, `full` asks the source to wait, so nothing is lost to a reader that comes back and memory stays bounded. It is the same memory from
 * the first byte of a long stream to its last: new memory for each chunk costs more than to copy it.
 */
export class OutputLog {
  readonly #retainedBytes: number
  /** The byte at offset `n` of the stream is at `n % length`. */
  #ring: Buffer = nothing
  #end = 0
  #cursors = new Set<OutputCursor>()
  /** Where the last reader to leave had got to. */
  #left = 0

  constructor(retainedBytes: number = defaultRetainedBytes) {
    this.#retainedBytes = retainedBytes
  }

  /** One of which nothing is held but how long it was. */
  static lost(bytes: number): OutputLog {
    const log = new OutputLog(0)
    log.#end = bytes
    return log
  }

  /** Bytes written so far. */
  get bytes(): number {
    return this.#end
  }

  /** Bytes of memory that it takes. */
  get heldBytes(): number {
    return this.#ring.length
  }

  /** Whether the source should wait. */
  get full(): boolean {
    let slowest = this.#cursors.size === 0 ? this.#left : this.#end
    for (const cursor of this.#cursors) slowest = Math.min(slowest, cursor.offset)
    return this.#end - slowest >= maxUnreadBytes
  }

  /** Takes in a copy of the chunk. */
  append(chunk: Buffer): void {
    this.#makeRoom(chunk.length)
    const at = this.#end % this.#ring.length
    const before = chunk.copy(this.#ring, at)
    if (before < chunk.length) chunk.copy(this.#ring, 0, before)
    this.#end += chunk.length
  }

  /** There will be no more: gives back the room that was kept for it. */
  settle(): void {
    if (this.#end < this.#ring.length) this.#renew(this.#end)
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

  /**
   * What is held from `offset` on, up to where the ring ends and what a frame can hold; and how much before it is no longer held. It stays
   * as it is while a cursor lends it.
   */
  read(offset: number): { missedBytes: number; chunk: Buffer | undefined } {
    const missedBytes = Math.max(0, this.#start - offset)
    const first = offset + missedBytes
    const length = Math.min(this.#end - first, maxFrameBytes)
    if (length <= 0) return { missedBytes, chunk: undefined }
    const at = first % this.#ring.length
    return { missedBytes, chunk: this.#ring.subarray(at, at + length) }
  }

  /** The offset of the oldest byte that is held. */
  get #start(): number {
    return Math.max(0, this.#end - this.#ring.length)
  }

  #makeRoom(bytes: number): void {
    const { length } = this.#ring
    if (this.#end + bytes <= length) return
    // What is read is taken in a little later, so there is a part more than is retained.
    const most = Math.max(Math.ceil((this.#retainedBytes * 4) / 3), bytes)
    if (length < most) this.#renew(Math.min(most, Math.max(this.#end + bytes, this.#end === 0 ? 0 : firstRingBytes, 2 * length)))
    else if (this.#lendsBelow(this.#end + bytes - length)) this.#renew(length)
  }

  /** Whether a reader is still at what would be overwritten, as only happens where the source does not wait for it. */
  #lendsBelow(offset: number): boolean {
    for (const cursor of this.#cursors) if (cursor.lends && cursor.offset < offset) return true
    return false
  }

  #renew(length: number): void {
    // Not a part of the memory that Node shares between short ones: a few bytes that are kept would keep all of that.
    const ring = Buffer.allocUnsafeSlow(length)
    for (let offset = Math.max(this.#start, this.#end - length); offset < this.#end; ) {
      offset += (this.read(offset).chunk as Buffer).copy(ring, offset % length)
    }
    this.#ring = ring
  }
}

/** One reader's place in an {@link OutputLog}. */
export class OutputCursor {
  readonly #log: OutputLog
  /** Up to here all was taken. */
  offset: number
  #lentBytes = 0

  constructor(log: OutputLog, offset: number) {
    this.#log = log
    this.offset = offset
  }

  /** Whether the reader has been given bytes that it has not taken yet. */
  get lends(): boolean {
    return this.#lentBytes > 0
  }

  /** Whether all that was written so far has been given. */
  get atEnd(): boolean {
    return this.offset + this.#lentBytes >= this.#log.bytes
  }

  /** The next bytes, if there are any, and how many were lost before them. What the last call gave has been taken by then. */
  next(): { missedBytes: number; chunk: Buffer | undefined } {
    this.offset += this.#lentBytes
    const found = this.#log.read(this.offset)
    this.offset += found.missedBytes
    this.#lentBytes = found.chunk?.length ?? 0
    return found
  }

  detach(): void {
    this.#log.detach(this)
  }
}

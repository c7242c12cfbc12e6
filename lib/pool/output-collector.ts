/**
 * Gathers the output of one stream up to a bound. Of what is longer it keeps the first and the last half of the bound, since errors tend
 * to stand at the end, and a line in the middle says how much is missing. Bytes are cut, never held beyond the bound.
 */
export class OutputCollector {
  readonly #maxHeadBytes: number
  readonly #maxTailBytes: number
  #head: Buffer[] = []
  #headBytes = 0
  /** A ring, once it is full: what comes next is written at `#tailAt`, over the oldest. */
  #tail = Buffer.alloc(0)
  #tailBytes = 0
  #tailAt = 0
  #omittedBytes = 0

  constructor(maxBytes: number) {
    this.#maxHeadBytes = Math.ceil(maxBytes / 2)
    this.#maxTailBytes = maxBytes - this.#maxHeadBytes
  }

  /** Whether something was left out. */
  get truncated(): boolean {
    return this.#omittedBytes > 0
  }

  push(chunk: Buffer): void {
    const room = this.#maxHeadBytes - this.#headBytes
    const first = room >= chunk.length ? chunk : chunk.subarray(0, room)
    if (first.length > 0) {
      this.#head.push(first)
      this.#headBytes += first.length
    }
    if (first.length === chunk.length) return
    this.#keepLast(room === 0 ? chunk : chunk.subarray(room))
  }

  /** Notes output that never arrived. */
  miss(bytes: number): void {
    this.#omittedBytes += bytes
  }

  /** What was kept. Cut in the middle of a character, that character is left out. */
  bytes(): Buffer {
    const tail = Buffer.concat([this.#tail.subarray(this.#tailAt, this.#tailBytes), this.#tail.subarray(0, this.#tailAt)])
    if (!this.truncated) return Buffer.concat([...this.#head, tail])
    return Buffer.concat([
      // No character has more bytes than there are in so many chunks.
      ...this.#head.slice(0, -maxCharacterBytes),
      withoutCutEnd(Buffer.concat(this.#head.slice(-maxCharacterBytes))),
      Buffer.from(`\n[… ${this.#omittedBytes} bytes left out …]\n`),
      withoutCutStart(tail),
    ])
  }

  /** Copies it: to hold on to the chunks of a long output one after the other would have the collector of garbage carry all of them along. */
  #keepLast(chunk: Buffer): void {
    const kept = chunk.subarray(Math.max(0, chunk.length - this.#maxTailBytes))
    const lost = this.#tailBytes + chunk.length - this.#maxTailBytes
    this.#omittedBytes += Math.max(0, lost)
    if (kept.length === 0) return
    this.#growTail(Math.min(this.#tailBytes + kept.length, this.#maxTailBytes))
    const toEnd = kept.copy(this.#tail, this.#tailAt, 0, this.#maxTailBytes - this.#tailAt)
    kept.copy(this.#tail, 0, toEnd)
    this.#tailBytes = Math.min(this.#tailBytes + kept.length, this.#maxTailBytes)
    this.#tailAt = (this.#tailAt + kept.length) % this.#maxTailBytes
  }

  #growTail(bytes: number): void {
    if (this.#tail.length >= bytes) return
    const larger = Buffer.allocUnsafeSlow(Math.min(this.#maxTailBytes, Math.max(bytes, this.#tail.length * 2)))
    this.#tail.copy(larger)
    this.#tail = larger
  }
}

const maxCharacterBytes = 4

const isContinuation = (byte: number): boolean => (byte & 0xc0) === 0x80

/** Without the first bytes of a UTF-8 character whose rest is missing. */
function withoutCutEnd(bytes: Buffer): Buffer {
  let start = bytes.length - 1
  while (start > 0 && bytes.length - start < 4 && isContinuation(bytes[start] as number)) start--
  const lead = bytes[start] ?? 0
  const width = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1
  return width > bytes.length - start ? bytes.subarray(0, start) : bytes
}

/** Without the last bytes of a UTF-8 character whose start is missing. */
function withoutCutStart(bytes: Buffer): Buffer {
  let start = 0
  while (start < 3 && start < bytes.length && isContinuation(bytes[start] as number)) start++
  return bytes.subarray(start)
}

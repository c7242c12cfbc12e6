/**
 * Gathers the output of one stream up to a bound. Of what is longer it keeps the first and the last half of the bound, since errors tend
 * to stand at the end, and a line in the middle says how much is missing. Bytes are cut, never held beyond the bound.
 */
export class OutputCollector {
  readonly #maxHeadBytes: number
  readonly #maxTailBytes: number
  #head: Buffer[] = []
  #headBytes = 0
  #tail: Buffer[] = []
  #tailBytes = 0
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
    const rest = room === 0 ? chunk : chunk.subarray(room)
    this.#tail.push(rest)
    this.#tailBytes += rest.length
    if (this.#tailBytes > this.#maxTailBytes) this.#trim()
  }

  /** Notes output that never arrived. */
  miss(bytes: number): void {
    this.#omittedBytes += bytes
  }

  /** What was kept. Cut in the middle of a character, that character is left out. */
  bytes(): Buffer {
    if (!this.truncated) return Buffer.concat([...this.#head, ...this.#tail])
    return Buffer.concat([
      // No character has more bytes than there are in so many chunks.
      ...this.#head.slice(0, -maxCharacterBytes),
      withoutCutEnd(Buffer.concat(this.#head.slice(-maxCharacterBytes))),
      Buffer.from(`\n[… ${this.#omittedBytes} bytes left out …]\n`),
      withoutCutStart(Buffer.concat(this.#tail.slice(0, maxCharacterBytes))),
      ...this.#tail.slice(maxCharacterBytes),
    ])
  }

  #trim(): void {
    while (this.#tailBytes > this.#maxTailBytes) {
      const oldest = this.#tail[0] as Buffer
      const excess = Math.min(oldest.length, this.#tailBytes - this.#maxTailBytes)
      if (excess === oldest.length) this.#tail.shift()
      else this.#tail[0] = oldest.subarray(excess)
      this.#tailBytes -= excess
      this.#omittedBytes += excess
    }
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

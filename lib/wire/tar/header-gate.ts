import type { extract, Header } from 'tar-stream'

const blockBytes = 512
/** Headers that say something of the entry after them, or of all: long names and attributes. */
const longHeaders = new Set(['L', 'K', 'x', 'g'])
/** What one may be long: two paths of the longest and some attributes. Of all entries nothing long has to be said. */
const maxLongHeaderBytes = 64 * 1024
const maxGlobalHeaderBytes = 4 * 1024
/** One of each kind, and one more. */
const maxLongHeaders = 5

/**
 * Lets the bytes of a tar through to its parser, block for block where headers are. The parser copies what was said of all entries into each header that
 * follows, at once: twenty kilobytes of headers that name no entry could keep a process busy for a minute.
 */
export class HeaderGate {
  readonly #parser: ReturnType<typeof extract>
  readonly #refuse: (got: string, expected: string) => Error
  /** Of the block that is not whole yet. */
  #block = Buffer.alloc(0)
  /** How much of what follows belongs to the last header, and is let through as it is. */
  #content = 0
  #longHeaders = 0
  #entry: (() => number) | undefined
  #onEntry: (() => void) | undefined

  constructor(parser: ReturnType<typeof extract>, refuse: (got: string, expected: string) => Error) {
    this.#parser = parser
    this.#refuse = refuse
    parser.on('entry', (header: Header) => {
      this.#entry = () => (header.type === 'directory' ? 0 : (header.size ?? 0))
      this.#onEntry?.()
    })
    parser.on('close', () => this.#onEntry?.())
  }

  /** The pieces of a chunk, each to be taken by the parser before the next is asked for. @throws what `refuse` makes. */
  async *pieces(chunk: Uint8Array): AsyncGenerator<Buffer> {
    let rest = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    while (rest.length > 0) {
      if (this.#content > 0) {
        const piece = rest.subarray(0, this.#content)
        this.#content -= piece.length
        rest = rest.subarray(piece.length)
        yield piece
        continue
      }
      const missing = blockBytes - this.#block.length
      this.#block = Buffer.concat([this.#block, rest.subarray(0, missing)])
      rest = rest.subarray(missing)
      if (this.#block.length < blockBytes) return
      const block = this.#block
      this.#block = Buffer.alloc(0)
      if (block.every((byte) => byte === 0)) {
        yield block
        continue
      }
      const kind = String.fromCharCode(block[156] as number)
      if (longHeaders.has(kind)) {
        this.#content = padded(this.#checkedLength(block, kind))
        yield block
        continue
      }
      this.#longHeaders = 0
      this.#entry = undefined
      yield block
      // How long it is may have been said by a header before it: the parser knows.
      await this.#untilEntry()
      this.#content = padded((this.#entry as unknown as (() => number) | undefined)?.() ?? 0)
    }
  }

  /** What is left of a block that was cut short. */
  get rest(): Buffer {
    return this.#block
  }

  #checkedLength(block: Buffer, kind: string): number {
    if (++this.#longHeaders > maxLongHeaders) throw this.#refuse(`${this.#longHeaders} long headers in a row`, `at most ${maxLongHeaders}`)
    const text = /^ *([0-7]+)(?:[ \0]|$)/.exec(block.toString('latin1', 124, 136))?.[1]
    const bytes = text === undefined ? Number.NaN : Number.parseInt(text, 8)
    const most = kind === 'g' ? maxGlobalHeaderBytes : maxLongHeaderBytes
    if (!(bytes <= most))
      throw this.#refuse(`a long header of ${text === undefined ? 'no known length' : `${bytes} bytes`}`, `at most ${most}`)
    return bytes
  }

  /** It comes at once, or when the entry before it was read. */
  async #untilEntry(): Promise<void> {
    if (this.#entry || this.#parser.destroyed) return
    await new Promise<void>((resolve) => {
      this.#onEntry = resolve
    })
    this.#onEntry = undefined
  }
}

const padded = (bytes: number): number => Math.ceil(bytes / blockBytes) * blockBytes

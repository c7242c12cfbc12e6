/**
 * What goes over a channel: frames of one byte for the type, four for the length of the payload (big-endian), and the payload. Output
 * travels as the bytes the command wrote. An answer that stops without an `end` or `error` frame was cut short.
 */
export const frameType = {
  /** Bytes of stdout. */
  stdout: 1,
  /** Bytes of stderr. */
  stderr: 2,
  /** JSON `{ stream, bytes }`: output that the server no longer held for this reader. */
  gap: 3,
  /** JSON, an `ExecutionEnd`. The last frame. */
  end: 4,
  /** JSON, an `ErrorBody`. The last frame. */
  error: 5,
  /** JSON, a `ChannelRequest`: the only one that a client sends. */
  request: 6,
} as const
export type FrameType = (typeof frameType)[keyof typeof frameType]

const headerBytes = 5

/** The largest payload of one frame; a longer one is not ours. */
export const maxFrameBytes = 1024 * 1024

/** The header of a frame; its payload follows as it is, without being copied. */
export function frameHeader(type: FrameType, payloadBytes: number): Buffer {
  const header = Buffer.allocUnsafe(headerBytes)
  header[0] = type
  header.writeUInt32BE(payloadBytes, 1)
  return header
}

/** A whole frame with a JSON payload. */
export function jsonFrame(type: FrameType, value: unknown): Buffer {
  const text = JSON.stringify(value)
  const bytes = Buffer.byteLength(text)
  const frame = Buffer.allocUnsafe(headerBytes + bytes)
  frame[0] = type
  frame.writeUInt32BE(bytes, 1)
  frame.write(text, headerBytes)
  return frame
}

/** Cuts a stream of chunks into frames. Output is handed on chunk by chunk, so a large frame is never gathered in memory. */
export class FrameReader {
  readonly #onFrame: (type: FrameType, payload: Buffer, last: boolean) => void
  #header = Buffer.alloc(0)
  #type: FrameType | undefined
  #remaining = 0

  /** `onFrame` gets each piece of a payload; `last` is true with the piece that completes the frame. */
  constructor(onFrame: (type: FrameType, payload: Buffer, last: boolean) => void) {
    this.#onFrame = onFrame
  }

  /** True between two frames: the only place where a stream may end. */
  get atBoundary(): boolean {
    return this.#type === undefined && this.#header.length === 0
  }

  /** @throws {RangeError} when the bytes are not frames. */
  push(chunk: Buffer): void {
    let rest = chunk
    for (;;) {
      if (this.#type === undefined) {
        if (this.#header.length + rest.length < headerBytes) {
          if (rest.length > 0) this.#header = Buffer.concat([this.#header, rest])
          return
        }
        const missing = headerBytes - this.#header.length
        this.#open(this.#header.length === 0 ? rest : Buffer.concat([this.#header, rest.subarray(0, missing)]))
        rest = rest.subarray(missing)
      }
      const piece = rest.subarray(0, this.#remaining)
      if (piece.length === 0 && this.#remaining > 0) return
      rest = rest.subarray(piece.length)
      this.#remaining -= piece.length
      const type = this.#type as FrameType
      const last = this.#remaining === 0
      if (last) this.#type = undefined
      this.#onFrame(type, piece, last)
    }
  }

  #open(header: Buffer): void {
    const type = header[0] as number
    const length = header.readUInt32BE(1)
    if (type < frameType.stdout || type > frameType.request || length > maxFrameBytes) {
      throw new RangeError(`not a frame: type ${type}, ${length} bytes`)
    }
    this.#header = Buffer.alloc(0)
    this.#type = type as FrameType
    this.#remaining = length
  }
}

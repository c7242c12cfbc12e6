import type { ServerResponse } from 'node:http'
import type { OutputOffsets } from '../wire/execution.ts'
import { type FrameType, frameHeader, frameType, jsonFrame } from '../wire/frames.ts'
import type { Execution } from './execution.ts'
import type { OutputCursor } from './output-log.ts'

/**
 * Streams an execution to one reader, from the bytes it already has to the outcome, no faster than it reads. Resolves when it has all, or
 * has gone away, which leaves the execution running.
 */
export function streamExecution(execution: Execution, offsets: OutputOffsets, response: ServerResponse): Promise<void> {
  return new Promise((resolve) => new ExecutionStream(execution, offsets, response, resolve).begin())
}

/** One reader of an execution. There is one write under way at a time, and what came meanwhile makes the next. */
class ExecutionStream {
  readonly #execution: Execution
  readonly #response: ServerResponse
  readonly #stdout: OutputCursor
  readonly #stderr: OutputCursor
  readonly #onOver: () => void
  #begun = false
  #writing = false
  #over = false

  constructor(execution: Execution, offsets: OutputOffsets, response: ServerResponse, onOver: () => void) {
    this.#execution = execution
    this.#response = response
    this.#stdout = execution.stdout.attach(offsets.stdout)
    this.#stderr = execution.stderr.attach(offsets.stderr)
    this.#onOver = onOver
  }

  begin(): void {
    this.#execution.on('progress', this.#writeNext)
    this.#response.on('close', this.#leave)
    this.#writeNext()
  }

  readonly #writeNext = (): void => {
    if (this.#response.destroyed) this.#leave()
    if (this.#writing || this.#over) return
    // Whether it is over is looked at before its output, so that the last of it is not missed.
    const { outcome } = this.#execution
    const pieces: Buffer[] = []
    addFrames(pieces, frameType.stdout, this.#stdout)
    addFrames(pieces, frameType.stderr, this.#stderr)
    if (outcome && this.#stdout.atEnd && this.#stderr.atEnd) {
      pieces.push('end' in outcome ? jsonFrame(frameType.end, outcome.end) : jsonFrame(frameType.error, outcome.error))
      // A short command's whole answer is one write, and wakes its reader once.
      this.#response.end(pieces.length === 1 ? pieces[0] : Buffer.concat(pieces))
      this.#leave()
    } else if (pieces.length > 0) this.#write(pieces)
  }

  /** Writes all of these at once, as one chunk of the answer. */
  #write(pieces: readonly Buffer[]): void {
    this.#writing = true
    const response = this.#response
    const { socket } = response
    if (this.#begun && socket && response.chunkedEncoding) {
      // Node would make a chunk of each piece, and three writes of each chunk: half of what a long stream costs this process itself.
      const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0)
      socket.cork()
      socket.write(`${bytes.toString(16)}\r\n`, 'latin1')
      for (const piece of pieces) socket.write(piece)
      socket.write('\r\n', 'latin1', this.#onWritten)
      socket.uncork()
      return
    }
    // The first takes the head of the answer along.
    this.#begun = true
    response.write(pieces.length === 1 ? pieces[0] : Buffer.concat(pieces), this.#onWritten)
  }

  readonly #onWritten = (error?: Error | null): void => {
    this.#writing = false
    if (error) this.#leave()
    this.#writeNext()
    this.#execution.readOn()
  }

  readonly #leave = (): void => {
    if (this.#over) return
    this.#over = true
    this.#execution.off('progress', this.#writeNext)
    this.#response.off('close', this.#leave)
    this.#stdout.detach()
    this.#stderr.detach()
    this.#onOver()
  }
}

/** What there is next of one stream. */
function addFrames(pieces: Buffer[], type: FrameType, cursor: OutputCursor): void {
  const { missedBytes, chunk } = cursor.next()
  if (missedBytes > 0) {
    pieces.push(jsonFrame(frameType.gap, { stream: type === frameType.stdout ? 'stdout' : 'stderr', bytes: missedBytes }))
  }
  if (chunk) pieces.push(frameHeader(type, chunk.length), chunk)
}

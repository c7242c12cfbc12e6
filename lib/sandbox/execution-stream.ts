import type { Duplex } from 'node:stream'
import type { OutputOffsets } from '../wire/execution.ts'
import { type FrameType, frameHeader, frameType, jsonFrame } from '../wire/frames.ts'
import type { Execution } from './execution.ts'
import type { KeptExecution } from './kept-execution.ts'
import type { OutputCursor } from './output-log.ts'

/**
 * Streams an execution to one reader, from the bytes it already has to the outcome, no faster than it reads. Resolves when all of it was
 * written, or the reader has gone away, which leaves the execution running.
 */
export function streamExecution(execution: Execution | KeptExecution, offsets: OutputOffsets, channel: Duplex): Promise<void> {
  return new Promise((resolve) => new ExecutionStream(execution, offsets, channel, resolve).begin())
}

/** One reader of an execution. There is one write under way at a time, and what came meanwhile makes the next. */
class ExecutionStream {
  readonly #execution: Execution | KeptExecution
  readonly #channel: Duplex
  readonly #stdout: OutputCursor
  readonly #stderr: OutputCursor
  readonly #onOver: () => void
  #writing = false
  #over = false

  constructor(execution: Execution | KeptExecution, offsets: OutputOffsets, channel: Duplex, onOver: () => void) {
    this.#execution = execution
    this.#channel = channel
    this.#stdout = execution.stdout.attach(offsets.stdout)
    this.#stderr = execution.stderr.attach(offsets.stderr)
    this.#onOver = onOver
  }

  begin(): void {
    this.#execution.on('progress', this.#writeNext)
    this.#channel.on('close', this.#leave)
    this.#writeNext()
  }

  readonly #writeNext = (): void => {
    if (this.#channel.destroyed) this.#leave()
    if (this.#writing || this.#over) return
    // Whether it is over is looked at before its output, so that the last of it is not missed.
    const { outcome } = this.#execution
    const pieces: Buffer[] = []
    addFrames(pieces, frameType.stdout, this.#stdout)
    addFrames(pieces, frameType.stderr, this.#stderr)
    if (outcome && this.#stdout.atEnd && this.#stderr.atEnd) {
      pieces.push('end' in outcome ? jsonFrame(frameType.end, outcome.end) : jsonFrame(frameType.error, outcome.error))
      // A short command's whole answer is one write, and wakes its reader once.
      this.#channel.write(together(pieces))
      this.#leave()
    } else if (pieces.length > 0) this.#write(pieces)
  }

  #write(pieces: readonly Buffer[]): void {
    this.#writing = true
    this.#channel.cork()
    for (const piece of pieces.slice(0, -1)) this.#channel.write(piece)
    this.#channel.write(pieces.at(-1), this.#onWritten)
    this.#channel.uncork()
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
    this.#channel.off('close', this.#leave)
    this.#stdout.detach()
    this.#stderr.detach()
    this.#onOver()
  }
}

const together = (pieces: readonly Buffer[]): Buffer => (pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces))

/** What there is next of one stream. */
function addFrames(pieces: Buffer[], type: FrameType, cursor: OutputCursor): void {
  const { missedBytes, chunk } = cursor.next()
  if (missedBytes > 0) {
    pieces.push(jsonFrame(frameType.gap, { stream: type === frameType.stdout ? 'stdout' : 'stderr', bytes: missedBytes }))
  }
  if (chunk) pieces.push(frameHeader(type, chunk.length), chunk)
}

import { type EventEmitter, once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { OutputOffsets } from '../wire/execution.ts'
import { type FrameType, frameHeader, frameType, jsonFrame } from '../wire/frames.ts'
import type { Execution } from './execution.ts'
import type { OutputCursor } from './output-log.ts'

/**
 * Streams an execution to one reader, from the bytes it already has to the outcome, no faster than it reads. A reader that goes away leaves
 * the execution running.
 */
export async function streamExecution(execution: Execution, offsets: OutputOffsets, response: ServerResponse): Promise<void> {
  const stdout = execution.stdout.attach(offsets.stdout)
  const stderr = execution.stderr.attach(offsets.stderr)
  try {
    while (!response.destroyed) {
      // Whether it is over is looked at before its output, so that the last of it is not missed.
      const { outcome } = execution
      const wrote = writeNext(response, frameType.stdout, stdout) || writeNext(response, frameType.stderr, stderr)
      if (!wrote && outcome) {
        response.end('end' in outcome ? jsonFrame(frameType.end, outcome.end) : jsonFrame(frameType.error, outcome.error))
        return
      }
      if (wrote) execution.readOn()
      // The socket is asked: Node corks a response for a turn by itself, and what the response says of itself meanwhile differs from one Node to the next.
      if (response.socket?.writableNeedDrain) await eventOrGone(response.socket, 'drain', response)
      else if (!wrote) await eventOrGone(execution, 'progress', response)
    }
  } finally {
    stdout.detach()
    stderr.detach()
  }
}

function writeNext(response: ServerResponse, type: FrameType, cursor: OutputCursor): boolean {
  const { missedBytes, chunk } = cursor.next()
  if (missedBytes > 0)
    response.write(jsonFrame(frameType.gap, { stream: type === frameType.stdout ? 'stdout' : 'stderr', bytes: missedBytes }))
  if (!chunk) return missedBytes > 0
  response.write(frameHeader(type, chunk.length))
  response.write(chunk)
  return true
}

/** Resolves with the event, or when the reader has gone. */
async function eventOrGone(emitter: EventEmitter, event: string, response: ServerResponse): Promise<void> {
  const gone = new AbortController()
  const onClose = (): void => gone.abort()
  response.once('close', onClose)
  try {
    await once(emitter, event, { signal: gone.signal })
  } catch (error) {
    if ((error as Error).name !== 'AbortError') throw error
  } finally {
    response.off('close', onClose)
  }
}

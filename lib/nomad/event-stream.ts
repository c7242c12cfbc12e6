import type { Readable } from 'node:stream'
import { z } from 'zod'
import { type ReconnectOptions, reconnecting } from '../reconnect.ts'
import type { NomadClient } from './client.ts'
import { eachLine } from './lines.ts'
import { noAnswer, type RequestLabel } from './request-error.ts'

/**
 * Nomad gives a sign of life when the stream begins and every 30 s. No byte for so much longer that a slow network is no reason, and the
 * connection counts as lost.
 */
const silentAfterMs = 45_000

const nomadEvent = z.object({
  /** `Allocation`, `Evaluation`, `Job`, … */
  Topic: z.string(),
  /** Such as `AllocationUpdated`. */
  Type: z.string(),
  /** The id of what it is about. */
  Key: z.string(),
})
/** One change that Nomad tells of. What changed is not read: it is large, and a list shows it as it is now. */
export type NomadEvent = z.infer<typeof nomadEvent>

/** A sign of life is an object without anything in it. */
const streamLine = z.union([z.object({ Index: z.int(), Events: z.array(nomadEvent) }), z.strictObject({})])

export interface EventStreamOptions extends ReconnectOptions {
  /** Each topic with the keys that are of interest in it: of an allocation or evaluation also the id of its job. */
  topics: Readonly<Record<string, readonly string[]>>
  /**
   * The point of Nomad's history from which on events are wanted, as a list gave it. Asked for before each connection: what was missed in
   * between is in that list. Nomad keeps the last 100 events or so.
   */
  since(signal: AbortSignal): Promise<number>
  /** The stream stands: what Nomad kept since that point comes now. */
  onConnected(): void
  /** What happened at one point of Nomad's history, each once, in its order. */
  onEvents(events: readonly NomadEvent[], index: number): void
  /** How long the connection may be silent, in milliseconds. Default 45,000. */
  silentAfterMs?: number
}

/**
 * Follows Nomad's event stream by one connection, which is made again when it is lost, until `signal` aborts. Keeps no process alive.
 *
 * @throws {SlotpoolError} a failure that will not pass, such as `NOMAD_FORBIDDEN`: the token needs `read-job`.
 */
export async function followEvents(client: NomadClient, options: EventStreamOptions, signal: AbortSignal): Promise<void> {
  const topics = Object.entries(options.topics).flatMap(([topic, keys]) => keys.map((key) => `${topic}:${key}`))
  const request = { path: '/v1/event/stream', purpose: 'tell what happens' }
  const label: RequestLabel = { address: client.address, method: 'GET', ...request }
  const connect = async (stands: () => void): Promise<void> => {
    let seen = await options.since(signal)
    if (signal.aborted) return
    const stream = await client.stream({
      ...request,
      query: { topic: topics, index: seen },
      signal,
      silentAfterMs: options.silentAfterMs ?? silentAfterMs,
    })
    let isNew = true
    try {
      for await (const line of readLines(label, stream)) {
        if (signal.aborted) return
        if (isNew) {
          isNew = false
          stands()
          options.onConnected()
        }
        // It may begin with events from before that point, and tell its last one again.
        if (!('Index' in line) || line.Index <= seen) continue
        seen = line.Index
        options.onEvents(line.Events, line.Index)
      }
    } finally {
      stream.destroy()
    }
  }
  await reconnecting(connect, signal, options)
}

/** What is no line of Nomad's, such as the page of a proxy that lost it, counts as a connection that was lost. */
async function* readLines(label: RequestLabel, stream: Readable): AsyncGenerator<z.infer<typeof streamLine>> {
  try {
    for await (const text of eachLine(stream)) yield parseLine(text)
  } catch (error) {
    throw noAnswer(label, error)
  }
}

function parseLine(text: string): z.infer<typeof streamLine> {
  try {
    return streamLine.parse(JSON.parse(text))
  } catch {
    // Without its words: a line may hold a whole job.
    throw new Error('a line of the event stream that is none of Nomad’s')
  }
}

import type { IncomingMessage } from 'node:http'
import { finished } from 'node:stream/promises'
import { type ReconnectOptions, reconnecting } from '../../reconnect.ts'
import { poolLabel } from './container-labels.ts'
import type { DockerEngine } from './engine.ts'

/** What changes where a container is in its life; executions in it and the like are left out. */
const lifeEvents = ['create', 'start', 'restart', 'pause', 'unpause', 'oom', 'die', 'destroy']

/**
 * Calls `onEvent` each time that it has got through to the engine, and then for what happens to containers of the pool, until `signal` aborts. An
 * engine that ends closes the connection, which is then made again; one that stands still goes on with what happened once it can.
 *
 * @throws {SlotpoolError} what will not pass by itself.
 */
export async function followEvents(
  engine: DockerEngine,
  pool: string,
  onEvent: () => void,
  signal: AbortSignal,
  options?: ReconnectOptions,
): Promise<void> {
  const filters = { type: ['container' as const], label: [`${poolLabel}=${pool}`], event: lifeEvents }
  const connect = async (stands: () => void): Promise<void> => {
    const events = engine.docker.getEvents({ filters, abortSignal: signal })
    const stream = (await engine.call('tell what happens', events)) as IncomingMessage
    stream.socket.unref()
    stands()
    onEvent()
    // What an event says is not needed: the list is the truth.
    stream.on('data', onEvent)
    try {
      await finished(stream, { signal })
    } catch {
      // Lost, or no longer wanted.
    } finally {
      stream.destroy()
    }
  }
  await reconnecting(connect, signal, options)
}

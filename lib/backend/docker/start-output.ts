import { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import type { DockerEngine } from './engine.ts'

const keptBytes = 32 * 1024
/** The output of a container that ended arrives at once; an engine that went away must not hold us. */
const drainTimeoutMs = 2_000

/**
 * What a container writes from its first byte on. It is attached before the start: an engine that removes a container at its end removes
 * its log too.
 */
export class StartOutput {
  readonly #stream: NodeJS.ReadWriteStream & { destroy?: () => void }
  #tail: Buffer = Buffer.alloc(0)

  private constructor(engine: DockerEngine, stream: NodeJS.ReadWriteStream) {
    this.#stream = stream
    const keep = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        this.#tail = Buffer.concat([this.#tail, chunk]).subarray(-keptBytes)
        done()
      },
    })
    stream.on('error', () => {})
    engine.docker.modem.demuxStream(stream, keep, keep)
  }

  static async attach(engine: DockerEngine, id: string): Promise<StartOutput> {
    const container = engine.docker.getContainer(id)
    return new StartOutput(engine, await engine.call('read its output', container.attach({ stream: true, stdout: true, stderr: true })))
  }

  /** The last of it, once the container has ended. */
  async tail(): Promise<string> {
    const bound = new AbortController()
    await Promise.race([
      finished(this.#stream as NodeJS.ReadableStream, { writable: false }).catch(() => {}),
      delay(drainTimeoutMs, undefined, { signal: bound.signal }).catch(() => {}),
    ])
    bound.abort()
    return this.#tail.toString('utf8')
  }

  close(): void {
    this.#stream.destroy?.()
  }
}

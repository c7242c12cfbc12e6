import { Duplex } from 'node:stream'

/** Told of each piece that comes over a connection, and of each end. */
export type OnTraffic = () => void

/** Both ends of a connection in memory: what is written to one is read from the other. One that is destroyed ends the other, as a socket does. */
export function memoryConnection(onTraffic: OnTraffic): [Duplex, Duplex] {
  const one = new MemoryEnd(onTraffic)
  const other = new MemoryEnd(onTraffic)
  one.other = other
  other.other = one
  return [one, other]
}

class MemoryEnd extends Duplex {
  other!: MemoryEnd
  readonly #onTraffic: OnTraffic
  /** Who wrote last to the other end and has yet to be told that it was taken. */
  #onTaken: (() => void) | undefined
  #ended = false

  constructor(onTraffic: OnTraffic) {
    super({ allowHalfOpen: false })
    this.#onTraffic = onTraffic
  }

  override _read(): void {
    const taken = this.#onTaken
    this.#onTaken = undefined
    taken?.()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error) => void): void {
    // Not from within the writer, who may have more to do before it is answered.
    process.nextTick(() => {
      this.#onTraffic()
      if (this.other.destroyed) callback(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))
      else this.other.#take(chunk, callback)
    })
  }

  override _final(callback: () => void): void {
    this.other.#end()
    callback()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#onTaken?.()
    this.other.#end()
    callback(error)
  }

  #take(chunk: Buffer, callback: () => void): void {
    if (this.push(chunk)) callback()
    else this.#onTaken = callback
  }

  #end(): void {
    if (this.#ended) return
    this.#ended = true
    process.nextTick(() => {
      this.#onTraffic()
      if (!this.destroyed) this.push(null)
    })
  }
}

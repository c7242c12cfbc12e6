import { Readable } from 'node:stream'
import { SlotpoolError } from '../errors.ts'

/** Content that the caller gives as a stream. Its own failure is told apart from one of the request that it is the body of. */
export class Sending {
  readonly #content: AsyncIterable<Uint8Array>
  #failure: unknown

  constructor(content: AsyncIterable<Uint8Array>) {
    this.#content = content
  }

  /** @throws {SlotpoolError} what `send` throws, or `FILE_FAILED` with the failure of the content. */
  async during<T>(send: (body: Readable) => Promise<T>): Promise<T> {
    const body = Readable.from(this.#guarded(), { objectMode: false, highWaterMark: 256 * 1024 })
    try {
      return await send(body)
    } catch (error) {
      if (this.#failure === undefined) throw error
      if (this.#failure instanceof SlotpoolError) throw this.#failure
      const reason = (this.#failure as Error).message
      throw new SlotpoolError('FILE_FAILED', `the content to be sent failed: ${reason}`, { cause: this.#failure, details: { reason } })
    } finally {
      body.destroy()
    }
  }

  async *#guarded(): AsyncGenerator<Uint8Array> {
    try {
      yield* this.#content
    } catch (error) {
      this.#failure = error
      throw error
    }
  }
}

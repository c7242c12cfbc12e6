import type { Readable } from 'node:stream'
import { SlotpoolError } from '../../errors.ts'

/**
 * The chunks of a request's body. Whoever stops early leaves the stream as it is: destroying it would take the connection away from the
 * answer.
 *
 * @throws {SlotpoolError} `CANCELLED` when the sender went away in the middle.
 */
export async function* bodyOf(content: Readable): AsyncGenerator<Buffer> {
  try {
    yield* content.iterator({ destroyOnReturn: false })
  } catch (cause) {
    throw new SlotpoolError('CANCELLED', 'the request was cut short by its sender', { cause })
  } finally {
    // What nobody wanted is passed over, or the connection would stand still before its answer.
    content.resume()
  }
}

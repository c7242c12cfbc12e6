import { type Readable, Transform } from 'node:stream'
import type { SlotpoolError } from '../errors.ts'
import { readError } from '../wire/error.ts'
import { FrameReader, frameType } from '../wire/frames.ts'

/** What a program may say of an error in one frame; more is none of ours. */
const maxErrorBytes = 64 * 1024

/**
 * The content of an answer in frames, no faster than it is read. It ends only after the frame that says so; an error in it, or a cut, is the
 * error of the stream. Destroyed early, it closes the connection.
 */
export function unframed(body: Readable, failure: (error: unknown) => SlotpoolError): Readable {
  let whole = false
  let refusal: Buffer[] = []
  let refusalBytes = 0
  let failed: SlotpoolError | undefined
  const frames = new FrameReader((type, payload, last) => {
    if (type === frameType.stdout) content.push(payload)
    if (type === frameType.end) whole = true
    if (type !== frameType.error) return
    refusalBytes += payload.length
    if (refusalBytes > maxErrorBytes) throw new RangeError('an error that is too long')
    refusal.push(payload)
    if (last) failed = readError(Buffer.concat(refusal).toString('utf8'))
    if (last) refusal = []
  })
  const content = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      try {
        frames.push(chunk)
        done(failed ?? null)
      } catch (error) {
        done(failure(error))
      }
    },
    flush(done) {
      done(whole ? null : failure(new Error('the answer was cut short')))
    },
  })
  body.on('error', (error) => content.destroy(failure(error)))
  content.on('close', () => body.destroy())
  // Before somebody reads it, an error is kept by the stream.
  content.on('error', () => {})
  return body.pipe(content)
}

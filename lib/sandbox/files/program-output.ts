import { Readable } from 'node:stream'
import { SlotpoolError } from '../../errors.ts'
import type { SlotProgram } from './slot-program.ts'

/**
 * What a program prints, no faster than it is read. It ends only when the program has said by its exit code that this was all; whatever cuts
 * it short destroys it with an error, so that a part is never taken for the whole. Destroyed early, it ends the program.
 */
export function outputOf(program: SlotProgram): Readable {
  const { stdout, patience, path } = program
  const content = new Readable({
    read: () => {
      patience.begin()
      stdout.resume()
    },
    destroy: (error, done) => {
      program.end().catch(() => {})
      done(error)
    },
  })
  patience.begin()
  // Before somebody reads it, an error is kept by the stream.
  content.on('error', () => {})
  stdout.on('data', (chunk: Buffer) => {
    patience.stop()
    if (content.push(chunk)) patience.begin()
    else stdout.pause()
  })
  const allRead = new Promise<void>((resolve, reject) => {
    stdout.once('end', resolve)
    stdout.once('close', () => {
      reject(new SlotpoolError('FILE_FAILED', `reading ${path} was cut short`, { details: { path, reason: 'cut short' } }))
    })
  })
  const fail = (error: SlotpoolError): void => void content.destroy(error)
  program.failed.catch(fail)
  // A reader that is slow keeps what was printed from being read to its end; a failure is known before that.
  const outcome = program.outcome()
  outcome.catch(fail)
  Promise.all([outcome, allRead]).then(() => {
    patience.stop()
    content.push(null)
  }, fail)
  return content
}

/** Waits for the first bytes of a program's output, or for its end. @throws {SlotpoolError} why it has none. */
export async function begun(program: SlotProgram): Promise<void> {
  const firstBytes = new Promise<void>((resolve) => program.stdout.once('data', () => resolve()))
  await Promise.race([firstBytes, program.outcome(), program.failed])
}

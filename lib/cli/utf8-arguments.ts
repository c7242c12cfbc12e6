import { readFileSync } from 'node:fs'
import { SlotpoolError } from '../errors.ts'

/**
 * Refuses arguments that are not UTF-8. Node has by now put U+FFFD in the place of what it could not read, and another command would be run
 * than was given.
 *
 * @throws {SlotpoolError} `COMMAND_INVALID`.
 */
export function refuseForeignBytes(words: readonly string[]): void {
  if (!words.some((word) => word.includes('\ufffd'))) return
  let raw: Buffer
  try {
    raw = readFileSync('/proc/self/cmdline')
  } catch {
    return
  }
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(raw)
  } catch (cause) {
    throw new SlotpoolError('COMMAND_INVALID', 'got a command or option that is not UTF-8', { cause, details: { reason: 'encoding' } })
  }
}

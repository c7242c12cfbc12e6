import { SlotpoolError } from '../errors.ts'

/**
 * Refuses what can be no path in a slot, before anybody looks for it. Both ends call it, as with commands.
 *
 * @throws {SlotpoolError} `FILE_FAILED`.
 */
export function checkFilePath(path: string): void {
  const bytes = Buffer.byteLength(path)
  if (bytes >= 1 && bytes <= 4095 && !path.includes('\0') && path.isWellFormed()) return
  throw new SlotpoolError('FILE_FAILED', `got a path of ${bytes} bytes, expected 1 to 4095 of well-formed Unicode without a NUL byte`, {
    details: { bytes },
  })
}

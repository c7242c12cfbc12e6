import { readFileSync } from 'node:fs'
import type { ZodType } from 'zod'
import { SlotpoolError } from '../errors.ts'

/**
 * The record in a file; undefined when there is none or it is no record. Read at once: to have a few hundred bytes read by other threads takes
 * longer, and starts those threads.
 *
 * @throws {SlotpoolError} `BACKEND_UNAVAILABLE` when there is one that cannot be read: what it tells of is not gone for that.
 */
export function readJsonRecord<T>(path: string, schema: ZodType<T>): T | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw new SlotpoolError('BACKEND_UNAVAILABLE', `${path} cannot be read: ${message}`, { cause, details: { path } })
  }
  try {
    return schema.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

import { z } from 'zod'

const maxNames = 16
const namePattern = /^[A-Za-z0-9_.-]{1,64}$/
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what this refuses
const valuePattern = /^[^\u0000-\u001f\u007f-\u009f]{0,256}$/u

/** What whoever makes a lease notes down with it, for people and programs that look at leases: never a secret. */
export type LeaseMetadata = Readonly<Record<string, string>>

/** At most 16 names with a short text each. zod's own record would leave out the name `__proto__` without a word. */
export const leaseMetadata = z.custom<LeaseMetadata>(
  isMetadata,
  `expected at most ${maxNames} names of 1 to 64 letters, digits, "_", "." and "-", each with a text of at most 256 characters, none of ` +
    'them a control character',
)

function isMetadata(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const entries = Object.entries(value)
  return entries.length <= maxNames && entries.every(([name, text]) => name !== '__proto__' && namePattern.test(name) && isText(text))
}

function isText(text: unknown): boolean {
  return typeof text === 'string' && valuePattern.test(text) && text.isWellFormed()
}

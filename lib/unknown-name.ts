import { closest } from 'fastest-levenshtein'
import { SlotpoolError } from './errors.ts'

/** A name that nobody knows, with the known one that is nearest to it: a slip that is taken in silence is found late. */
export function unknownName(kind: 'variable' | 'option', name: string, known: readonly string[]): SlotpoolError {
  const nearest = closest(name, known)
  return new SlotpoolError(
    kind === 'variable' ? 'CONFIG_UNKNOWN_VARIABLE' : 'CONFIG_INVALID',
    `${name}: unknown ${kind}; expected one of ${known.join(', ')}; did you mean ${nearest}?`,
    { details: { [kind]: name, nearest } },
  )
}

/** @throws {SlotpoolError} `CONFIG_INVALID` when `options` are no object, or have a name that is not among those known. */
export function refuseUnknownOptions(options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    const got = Array.isArray(options) ? 'an array' : options === null ? 'null' : `a value of type ${typeof options}`
    throw new SlotpoolError('CONFIG_INVALID', `options: got ${got}, expected an object`, { details: { variable: 'options' } })
  }
  for (const name in options) if (!known.includes(name)) throw unknownName('option', name, known)
}

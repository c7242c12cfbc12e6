import { SlotpoolError } from '../../errors.ts'

/** @param place where it was looked for, to be read after "in". */
export function refNotFound(reference: string, place: string, cause?: unknown): SlotpoolError {
  return new SlotpoolError('REF_NOT_FOUND', `got ${reference}, expected a reference that is in ${place}`, {
    cause,
    details: { reference, place },
  })
}

/** @param what cannot be done, as a sentence. @param instead what to do, to be read after a semicolon. */
export function notImplemented(what: string, instead: string): SlotpoolError {
  return new SlotpoolError('NOT_IMPLEMENTED', `${what}; ${instead}`)
}

export function digestMismatch(what: string, got: string, expected: string): SlotpoolError {
  return new SlotpoolError('DIGEST_MISMATCH', `${what}: got ${got}, expected ${expected}`, { details: { got, expected } })
}

export function cancelled(doing: string, cause?: unknown): SlotpoolError {
  return new SlotpoolError('CANCELLED', `gave up ${doing}`, { cause })
}

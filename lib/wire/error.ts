import { z } from 'zod'
import { SlotpoolError } from '../errors.ts'

/** The body of every answer that is not a success. `code` is a string so that an older peer can read a newer code. */
const errorBody = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    retryable: z.boolean(),
    details: z.record(z.string(), z.unknown()).optional(),
  }),
})

/** The error in the body of an answer that is not a success. @throws when the text is something else. */
export function readErrorBody(text: string): SlotpoolError {
  return SlotpoolError.fromBody(errorBody.parse(JSON.parse(text)).error)
}

/** An error that stands alone: in a frame, or in what a server said before it ended. @throws when the text is something else. */
export function readError(text: string): SlotpoolError {
  return SlotpoolError.fromBody(errorBody.shape.error.parse(JSON.parse(text)))
}

/** The same, where the text may be something else. */
export function findError(text: string): SlotpoolError | undefined {
  try {
    return readError(text)
  } catch {
    return undefined
  }
}

import { z } from 'zod'

/** The body of every answer that is not a success. `code` is a string so that an older peer can read a newer code. */
export const errorBody = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    retryable: z.boolean(),
    details: z.record(z.string(), z.unknown()).optional(),
  }),
})

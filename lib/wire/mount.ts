import { z } from 'zod'

/** A folder or file of the host in a slot, as its tenant is told of it: where it comes from is no business of the slot. */
export const mountView = z.object({
  /** Where it is in the slot. */
  target: z.string(),
  readOnly: z.boolean(),
  /** What it is, in the words of whoever mounted it; null where there are none. */
  description: z.string().nullable(),
})
export type MountView = z.infer<typeof mountView>

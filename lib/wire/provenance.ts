import { z } from 'zod'

/** Which image a container was started from: what its pool asked for, and, where that was known, exactly which one it was. */
export const imageProvenance = z.object({
  reference: z.string(),
  /** The image's id where an engine gave it, or the digest of its manifest where the reference has it; else null. */
  digest: z.string().nullable().default(null),
})
export type ImageProvenance = z.infer<typeof imageProvenance>

/** Exactly what ran: of a lease, for whoever has to say later which bits a result came from. */
export const provenance = z.object({
  /** Null where a container has no image, as with `local`. */
  image: imageProvenance.nullable(),
  server: z.object({
    /** Of the slotpool package. */
    version: z.string(),
    /** `sha256:` of the sandbox server's program, `dist/sandbox-server.cjs`; null where it runs from its sources. */
    digest: z.string().nullable(),
  }),
})
export type Provenance = z.infer<typeof provenance>

/** Where a container finds what its image is: in the folder of its token. */
export const imageFile = 'image.json'

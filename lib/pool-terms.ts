import { z } from 'zod'
import type { PoolMount } from './mount.ts'
import type { SlotLimitOptions } from './slot-limits.ts'

/** What a pool's slots are served by and given, as it was asked for when its first container was made. */
export interface PoolTerms {
  /** The image that the sandbox server comes from. Default: that of the containers. */
  toolsImage?: string | undefined
  limits: Readonly<SlotLimitOptions>
  networkAllow: readonly string[]
  mounts: readonly PoolMount[]
  /** How often each slot is leased at most. Default: no bound. */
  maxReuses?: number | undefined
  /** How long running commands may go on when a container is told to end, in milliseconds. Default: 0. */
  drainMs?: number | undefined
}

/** As a container, a job or a record carries them. One that carries none was made without any. */
export const poolTerms = z.object({
  toolsImage: z.string().optional(),
  limits: z.record(z.string(), z.number()).default({}),
  networkAllow: z.array(z.string()).readonly().default([]),
  mounts: z
    .array(z.object({ host: z.string(), target: z.string(), readOnly: z.boolean(), description: z.string().nullable() }))
    .readonly()
    .default([]),
  maxReuses: z.number().optional(),
  drainMs: z.number().optional(),
})

/** The terms of a configuration. */
export function termsOf({ toolsImage, limits, networkAllow, mounts, maxReuses, drainMs }: PoolTerms): PoolTerms {
  return {
    ...(toolsImage === undefined ? {} : { toolsImage }),
    limits,
    networkAllow,
    mounts,
    ...(maxReuses === undefined ? {} : { maxReuses }),
    ...(drainMs ? { drainMs } : {}),
  }
}

/** The terms as one text. */
export function writeTerms(terms: PoolTerms): string {
  return JSON.stringify(termsOf(terms))
}

/** Reads what {@link writeTerms} wrote; undefined for something else. */
export function readTerms(text = '{}'): PoolTerms | undefined {
  try {
    return poolTerms.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

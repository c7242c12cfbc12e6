import { z } from 'zod'

/** Whether a sandbox server gives leases: it does; it does not for now, or is about to end; it never will again. */
export const serverStates = ['serving', 'draining', 'retired'] as const
export type ServerState = (typeof serverStates)[number]

/** How far back a server can say how many of its slots were leased, in milliseconds. */
export const longestLoadWindowMs = 3_600_000

/** What is asked with `GET /v1/load`. */
export interface LoadQuery {
  /** How far back `mostLeased` looks, in milliseconds. */
  withinMs: number
  /** How many containers whoever asks wants the pool to keep; the server remembers it for a minute, for other managers. */
  keep: number
}

/** `GET /v1/load?withinMs=N&keep=K`: how busy a server is, at next to no cost. Asking is no use of the pool: one that nobody uses ends all the same. */
export const serverLoad = z.object({
  bootId: z.string(),
  state: z.enum(serverStates),
  /** All of its slots. */
  slots: z.int(),
  /** Those that are leased, or about to be. */
  leased: z.int(),
  /** Those that are ready; while the server drains nobody gets them. */
  idle: z.int(),
  /** Those that no lease will ever get again: quarantined or spent. */
  outOfService: z.int(),
  /** The most that were leased at once within the last `withinMs`, to the second. */
  mostLeased: z.int(),
  /** The longest lifetime of the leases that stand, in milliseconds; 0 without any. */
  longestTtlMs: z.int().default(0),
  /** The most containers that somebody wanted kept within the last minute. */
  keep: z.int(),
})
export type ServerLoad = z.infer<typeof serverLoad>

/**
 * `PUT /v1/draining`: whether new leases are refused from now on, and for how long: whoever said so may die. Saying it again counts anew. A server
 * that was retired, or is about to end, stays so.
 */
export const drainRequest = z.strictObject({
  draining: z.boolean(),
  ttlMs: z.int().min(1).max(2_147_483_000),
})
export type DrainRequest = z.infer<typeof drainRequest>

/** `POST /v1/retire`: whether the server will give no lease again, and how many leases keep it from that. */
export const retireAnswer = z.object({ retired: z.boolean(), leases: z.int() })
export type RetireAnswer = z.infer<typeof retireAnswer>

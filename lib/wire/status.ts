import { z } from 'zod'
import { isolationLevels, lease, networkLevels, rootKinds } from './lease.ts'
import { limitsInForce } from './limits.ts'
import { serverStates } from './load.ts'
import { provenance } from './provenance.ts'

/** `failed` is tried again soon; of `quarantined` and `spent` there is no slot again. */
export const slotStates = ['preparing', 'idle', 'leased', 'wiping', 'failed', 'quarantined', 'spent'] as const
export type SlotState = (typeof slotStates)[number]

/** `GET /healthz`, without a token: that the server is there, which protocol it speaks and which boot it is. */
export const health = z.object({ ok: z.literal(true), protocol: z.int(), bootId: z.string() })
export type Health = z.infer<typeof health>

/** `GET /v1/status`. */
export const serverStatus = z.object({
  protocol: z.int(),
  /** The version of the slotpool package that the server was built from. */
  version: z.string(),
  provenance,
  bootId: z.string(),
  state: z.enum(serverStates),
  pool: z.string(),
  isolation: z.enum(isolationLevels),
  /** Why the isolation is not the strongest one, or null. */
  isolationReason: z.string().nullable(),
  root: z.enum(rootKinds),
  /** Who commands run as. */
  user: z.string(),
  network: z.enum(networkLevels),
  /** Why the network is not the one that was asked for, or null. */
  networkReason: z.string().nullable(),
  /** The same for each slot. */
  limits: limitsInForce,
  slots: z.array(
    z.object({
      slot: z.int(),
      state: z.enum(slotStates),
      /** Why it failed, was quarantined or is spent; else null. */
      reason: z.string().nullable(),
      /** How often it was leased. */
      uses: z.int(),
      lease: lease.nullable(),
      executions: z.int(),
    }),
  ),
})
export type ServerStatus = z.infer<typeof serverStatus>

/** `GET /v1/idle?waitMs=N`: answers as soon as a slot is idle, at the latest after `waitMs`. */
export const idleResponse = z.object({ idle: z.int() })
export type IdleResponse = z.infer<typeof idleResponse>

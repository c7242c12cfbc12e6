import { z } from 'zod'
import { limitsInForce } from './limits.ts'
import { leaseMetadata } from './metadata.ts'
import { mountView } from './mount.ts'
import { provenance } from './provenance.ts'

/** Names a task. Any text a caller may have at hand, without control characters. */
export const taskId = z
  .string()
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what this refuses
  .regex(/^[^\u0000-\u001f\u007f-\u009f]{1,200}$/u, 'expected 1 to 200 characters, none of them a control character')
  .refine((text) => text.isWellFormed(), 'expected well-formed Unicode')

const id = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'expected 1 to 64 letters, digits, dashes and underscores')

/** Names a lease; made by the sandbox server. */
export const leaseId = id
/** Names an execution; made by the client, so that a retry of the same request is recognised. */
export const executionId = id

/** The levels that can be in force, strongest first. */
export const isolationLevels = ['jail', 'uid', 'none'] as const
export type IsolationLevel = (typeof isolationLevels)[number]

/** What a slot's network is: nothing but its own loopback, or the network of the container (the host's, for `local`). */
export const networkLevels = ['none', 'outbound', 'host'] as const
export type NetworkLevel = (typeof networkLevels)[number]

/** What a slot's root filesystem is: one of its own that is gone with the lease, the system's to read only, or the system's own. */
export const rootKinds = ['copy-on-write', 'read-only', 'shared'] as const
export type RootKind = (typeof rootKinds)[number]

/** Asks for the slot of a task. The same task gets its existing lease. */
export const leaseRequest = z.strictObject({
  taskId,
  /** Who the lease belongs to. A task leased by another owner is refused. */
  owner: z.string().min(1).max(200),
  /** How long the lease lives without being used, in milliseconds. */
  ttlMs: z.int().min(1).max(2_147_483_000),
  /**
   * Make the lease provisional: it holds its slot but runs nothing until it is confirmed, and ends by itself within seconds.
   * Asked for where a pool has several containers, so that a task cannot end up with a slot in two of them.
   */
  provisional: z.boolean().default(false),
  /** Noted down with a lease that is made for it; who joins one that the task has changes nothing of its own. */
  metadata: leaseMetadata.default({}),
})
export type LeaseRequest = z.input<typeof leaseRequest>
export type CheckedLeaseRequest = z.output<typeof leaseRequest>

/** The right of one task to one slot. */
export const lease = z.object({
  leaseId,
  taskId,
  owner: z.string(),
  /** The slot's number in its container, from 0. */
  slot: z.int(),
  /** The boot of the sandbox server that gave the lease; a restart has another and knows none of the old leases. */
  bootId: z.string(),
  provisional: z.boolean(),
  /** What whoever made it noted down with it. */
  metadata: z.record(z.string(), z.string()),
  /** When the lease ends unless it is used or renewed: milliseconds since the epoch, by the sandbox server's clock. */
  expiresAtMs: z.number(),
  /** The absolute path of the workspace, as the slot's own processes see it. */
  workspace: z.string(),
  /** The home folder and the folder for temporary files, seen likewise. */
  home: z.string(),
  tmp: z.string(),
  /** The program that runs commands, a bash, as the slot's processes see it. */
  shell: z.string().default('/bin/bash'),
  /** The folders on `PATH`, in order. */
  binFolders: z.array(z.string()),
  /** Who commands run as: `root` only where the root filesystem is the slot's own. */
  user: z.string(),
  isolation: z.enum(isolationLevels),
  root: z.enum(rootKinds),
  network: z.enum(networkLevels),
  /** What the slot may use, and what sees to it. */
  limits: limitsInForce,
  mounts: z.array(mountView),
  /** What the slot's container runs. */
  provenance,
})
export type Lease = z.infer<typeof lease>

/** The answer to a {@link leaseRequest}. */
export const leaseResponse = z.object({
  lease,
  /** False when the task already had this lease. */
  created: z.boolean(),
})
export type LeaseResponse = z.infer<typeof leaseResponse>

export const renewRequest = z.strictObject({ ttlMs: leaseRequest.shape.ttlMs })
export type RenewRequest = z.infer<typeof renewRequest>

/** The answer to a look-up by task: its lease here, or null. Looking is no use of the lease. */
export const leaseLookup = z.object({ lease: lease.nullable() })

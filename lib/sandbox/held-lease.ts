import type { Lease } from '../wire/lease.ts'
import type { LimitsInForce } from '../wire/limits.ts'
import type { LeaseMetadata } from '../wire/metadata.ts'
import type { MountView } from '../wire/mount.ts'
import type { Provenance } from '../wire/provenance.ts'
import { lockedEnvironment } from './environment.ts'
import type { Execution, LeftOpen } from './execution.ts'
import { IdSet } from './id-set.ts'
import type { KeptExecution } from './kept-execution.ts'
import type { Slot } from './slots.ts'

/** What is the same for every slot of a server. */
export interface SlotTerms {
  limits: LimitsInForce
  mounts: readonly MountView[]
  provenance: Provenance
}

/** A lease as the server holds it: who has the slot, until when, and what runs there. */
export class HeldLease {
  readonly leaseId: string
  readonly taskId: string
  readonly owner: string
  readonly metadata: LeaseMetadata
  readonly slot: Slot
  readonly #terms: SlotTerms
  /** Those that run, and what is kept of those that ended. */
  readonly executions = new Map<string, Execution | KeptExecution>()
  /** What executions of which nothing is kept left open. */
  leftOpen: readonly LeftOpen[] = []
  /** The ids of executions that ended so long ago that their results are no longer kept. */
  readonly droppedExecutions = new IdSet()
  /** The ids of executions that were ended before they came: they are not run if they come yet. */
  readonly refusedExecutions = new IdSet()
  ttlMs: number
  provisional: boolean
  lastUsedAtMs: number
  /** Somebody else than the one who made it has asked for it. */
  shared = false
  /** Work under way that keeps the lease from expiring. */
  uses = 0
  /** It has ended; only readers of its last executions still know it. */
  over = false

  constructor(parts: {
    leaseId: string
    taskId: string
    owner: string
    metadata: LeaseMetadata
    slot: Slot
    terms: SlotTerms
    ttlMs: number
    provisional: boolean
    nowMs: number
  }) {
    this.leaseId = parts.leaseId
    this.taskId = parts.taskId
    this.owner = parts.owner
    this.metadata = parts.metadata
    this.slot = parts.slot
    this.#terms = parts.terms
    this.ttlMs = parts.ttlMs
    this.provisional = parts.provisional
    this.lastUsedAtMs = parts.nowMs
  }

  get expiresAtMs(): number {
    return this.lastUsedAtMs + (this.provisional ? Math.min(this.ttlMs, provisionalTtlMs) : this.ttlMs)
  }

  /** The lease as the wire tells it. */
  describe(bootId: string): Lease {
    const { jail } = this.slot
    const locked = lockedEnvironment(jail)
    return {
      leaseId: this.leaseId,
      taskId: this.taskId,
      owner: this.owner,
      slot: this.slot.number,
      bootId,
      provisional: this.provisional,
      metadata: this.metadata,
      expiresAtMs: this.expiresAtMs,
      workspace: jail.view.workspace,
      home: jail.view.home,
      tmp: jail.view.tmp,
      shell: locked.SHELL as string,
      binFolders: (locked.PATH as string).split(':').filter((folder) => folder !== ''),
      user: jail.user,
      isolation: jail.level,
      root: jail.root,
      network: jail.network,
      limits: this.#terms.limits,
      mounts: this.#terms.mounts.map(({ target, readOnly, description }) => ({ target, readOnly, description })),
      provenance: this.#terms.provenance,
    }
  }
}

/** A lease that nobody confirms is given up soon: whoever asked for it died on the way. */
const provisionalTtlMs = 10_000

import type { SandboxClient } from '../client/sandbox-client.ts'
import { SlotpoolError } from '../errors.ts'
import type { Clock } from '../sandbox/clock.ts'
import type { IsolationLevel, Lease, NetworkLevel } from '../wire/lease.ts'
import type { LeaseMetadata } from '../wire/metadata.ts'
import type { Provenance } from '../wire/provenance.ts'
import { describeView } from './describe-view.ts'
import { type ExecOptions, type ExecResult, runCommand } from './exec.ts'
import { isLeaseGone } from './lease-gone.ts'
import { releaseLease } from './release-lease.ts'
import { SlotFiles } from './slot-files.ts'
import { type SlotView, slotView } from './slot-view.ts'

/** A slot leased to a task. All that holds the same task holds the same slot. */
export class Slot {
  readonly taskId: string
  readonly leaseId: string
  /** The container it is in, and its number there, from 0. */
  readonly containerId: string
  readonly slot: number
  /** Where commands start, as they see it. */
  readonly workspace: string
  /** What is in force, not what was asked for. */
  readonly isolation: IsolationLevel
  readonly network: NetworkLevel
  /** Where who works in the slot is, and what it has there. */
  readonly view: SlotView
  /** What was noted down with its lease when that was made. */
  readonly metadata: LeaseMetadata
  /** Exactly which image and sandbox server it is in, as far as that is known. */
  readonly provenance: Provenance
  readonly files: SlotFiles
  readonly #client: SandboxClient
  readonly #lifetimeMs: number
  readonly #defaults: { timeoutMs: number; cwd: string | undefined }
  readonly #onRelease: (slot: Slot) => void
  readonly #onReleased: () => void
  readonly #onEnd: (result: ExecResult<string | Buffer> | SlotpoolError) => void
  readonly #onLost: (slot: Slot) => void
  readonly #onDisused: (slot: Slot) => void
  readonly #clock: Clock
  #lost = false
  #stopHeartbeat: (() => void) | undefined
  #stopForgetting: (() => void) | undefined
  #releasing: Promise<void> | undefined
  /** Somebody has given it back, or tried to: it is used no more. */
  #ended = false

  /** Made by the pool. */
  constructor(parts: {
    lease: Lease
    containerId: string
    client: SandboxClient
    lifetimeMs: number
    defaults: { timeoutMs: number; cwd: string | undefined }
    /** Told when it begins to be given back, and when its lease has ended. */
    onRelease: (slot: Slot) => void
    onReleased: () => void
    /** Told how each command ended. */
    onEnd: (result: ExecResult<string | Buffer> | SlotpoolError) => void
    /** Told once that its lease has ended although nobody here gave it back. */
    onLost: (slot: Slot) => void
    /** Told when nobody here has asked for it for as long as its lease lives, and nothing renews it. */
    onDisused: (slot: Slot) => void
    clock: Clock
  }) {
    const { lease } = parts
    this.taskId = lease.taskId
    this.leaseId = lease.leaseId
    this.containerId = parts.containerId
    this.slot = lease.slot
    this.workspace = lease.workspace
    this.isolation = lease.isolation
    this.network = lease.network
    this.view = slotView(lease)
    this.metadata = lease.metadata
    this.provenance = lease.provenance
    this.files = new SlotFiles(parts.client, lease.leaseId)
    this.#client = parts.client
    this.#lifetimeMs = parts.lifetimeMs
    this.#defaults = parts.defaults
    this.#onRelease = parts.onRelease
    this.#onReleased = parts.onReleased
    this.#onEnd = parts.onEnd
    this.#onLost = parts.onLost
    this.#onDisused = parts.onDisused
    this.#clock = parts.clock
  }

  /**
   * Runs a command in the slot and resolves when it has ended. Background processes that it left go on; they end with the lease.
   *
   * @throws {SlotpoolError} `COMMAND_INVALID`, `CWD_NOT_FOUND`; `LEASE_LOST` when the slot is no longer this task's; `CANCELLED`;
   *   `SERVER_UNREACHABLE` when the command was not run; `EXECUTION_OUTCOME_UNKNOWN` when nobody can know whether it was.
   */
  exec(command: string, options?: ExecOptions<string>): Promise<ExecResult<string>>
  exec(command: string, options: ExecOptions<Buffer>): Promise<ExecResult<Buffer>>
  async exec<T extends string | Buffer>(command: string, options: ExecOptions<T> = {}): Promise<ExecResult<T>> {
    try {
      this.#checkHeld()
      const target = { client: this.#client, leaseId: this.leaseId, taskId: this.taskId, defaults: this.#defaults }
      const result = await runCommand(target, command, options)
      this.#onEnd(result)
      return result
    } catch (error) {
      this.#noteLoss(error)
      if (error instanceof SlotpoolError) this.#onEnd(error)
      throw error
    }
  }

  /** A short text that tells a model where it is: its folders, what it may do there, its network, limits and mounts. */
  describe(): string {
    return describeView(this.view)
  }

  /** Keeps the lease for another lifetime. @throws {SlotpoolError} `LEASE_LOST`. */
  async renew(): Promise<void> {
    this.#checkHeld()
    await this.#client.renew(this.leaseId, this.#lifetimeMs)
  }

  /**
   * Gives the slot back: when this resolves, no process of the task is left. Releasing twice, or a lost lease, is no error. After a failure it
   * can be tried again; the slot is used no more either way.
   */
  release(): Promise<void> {
    this.#releasing ??= this.#release().catch((error) => {
      this.#releasing = undefined
      throw error
    })
    return this.#releasing
  }

  /** Renews the lease for as long as this process holds the slot and lives. */
  startHeartbeat(): void {
    if (this.#stopHeartbeat) return
    this.#stopForgetting?.()
    const beatLater = (): void => {
      this.#stopHeartbeat = this.#clock.after(this.#lifetimeMs / 3, () => {
        // A lost lease is told to whoever uses the slot next; a server out of reach may be back at the next beat.
        this.renew().catch((error) => this.#noteLoss(error))
        beatLater()
      })
    }
    beatLater()
  }

  /** Without a heartbeat nobody here learns when the lease ends: who has not asked for it for so long is told no more of it. */
  forgetWhenDisused(): void {
    if (this.#stopHeartbeat) return
    this.#stopForgetting?.()
    this.#stopForgetting = this.#clock.after(this.#lifetimeMs, () => this.#onDisused(this))
  }

  /** Stops renewing. The lease lives on for its lifetime. */
  stopHeartbeat(): void {
    this.#stopHeartbeat?.()
    this.#stopHeartbeat = undefined
    this.#stopForgetting?.()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release()
  }

  async #release(): Promise<void> {
    this.#ended = true
    this.stopHeartbeat()
    this.#onRelease(this)
    await releaseLease(this.#client, this.leaseId, this.#clock)
    this.#onReleased()
  }

  #noteLoss(error: unknown): void {
    if (this.#lost || this.#ended || !isLeaseGone(error)) return
    this.#lost = true
    this.stopHeartbeat()
    this.#onLost(this)
  }

  #checkHeld(): void {
    if (this.#ended)
      throw new SlotpoolError('LEASE_LOST', `the slot of task ${this.taskId} was released`, { details: { taskId: this.taskId } })
  }
}

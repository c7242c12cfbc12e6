import { EventEmitter, once } from 'node:events'
import { SlotpoolError } from '../errors.ts'
import type { CheckedExecutionRequest, ExecutionEnd } from '../wire/execution.ts'
import { OutputLog } from './output-log.ts'

/** How an execution ended, or the failure of ours that kept it from being run. */
export type Outcome = { end: ExecutionEnd } | { error: SlotpoolError }

/** An end of a pipe that others may still write to. */
export interface LeftOpen {
  /** Nobody does any more. */
  readonly over: boolean
  close(): void
}

/**
 * One command in a slot, from its start to its outcome. Emits `progress` whenever there is more to read: output or the outcome.
 * It goes on without readers; only its end, its timeout or a cancel ends it.
 */
export abstract class Execution extends EventEmitter<{ progress: [] }> {
  readonly id: string
  readonly request: CheckedExecutionRequest
  readonly stdout: OutputLog
  readonly stderr: OutputLog
  /** On the clock of `performance.now()`. */
  protected readonly receivedAtMs = performance.now()
  #outcome: Outcome | undefined

  /** `retainedBytes` is how much of each stream is kept for readers; by default as much as a source that waits for them needs. */
  constructor(id: string, request: CheckedExecutionRequest, retainedBytes?: number) {
    super()
    this.stdout = new OutputLog(retainedBytes)
    this.stderr = new OutputLog(retainedBytes)
    // One listener for each reader that is attached.
    this.setMaxListeners(0)
    this.id = id
    this.request = request
  }

  /** Undefined while it runs. */
  get outcome(): Outcome | undefined {
    return this.#outcome
  }

  /** Runs the command, once. Never throws: what goes wrong is the outcome. */
  async run(): Promise<void> {
    try {
      this.#outcome = await this.perform()
    } catch (error) {
      this.#outcome = { error: SlotpoolError.from(error) }
    }
    this.emit('progress')
  }

  /** Ends it and all that it started. Resolves when nothing of it is left and the outcome stands. */
  async cancel(): Promise<void> {
    if (this.#outcome) return
    await this.interrupt()
    while (!this.#outcome) await once(this, 'progress')
  }

  /** Takes note that a reader has read on, so a source that waited may go on. */
  abstract readOn(): void

  /**
   * Its lease ends, and with it the jail: what still runs counts as cancelled, or as failed by `failure` when its jail ended by itself, and
   * nothing that is written later is taken in.
   */
  abstract abandon(failure?: SlotpoolError): void

  /** What of it may still be open once it has ended, for what it left in the background: to be closed when its lease ends. */
  abstract get leftOpen(): readonly LeftOpen[]

  /** Does the work. */
  protected abstract perform(): Promise<Outcome>

  /** Makes the work end soon, as cancelled. */
  protected abstract interrupt(): Promise<void>
}

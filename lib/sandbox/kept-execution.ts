import type { Execution, LeftOpen, Outcome } from './execution.ts'
import { OutputLog } from './output-log.ts'
import { markOf, type RequestMark } from './request-identity.ts'

const nothing: readonly LeftOpen[] = []

/**
 * What is kept of an execution that has ended, for readers that come back: how it ended and the last of its output. Nothing of what ran it:
 * ten thousand of these may be kept.
 */
export class KeptExecution {
  readonly id: string
  readonly mark: RequestMark
  readonly outcome: Outcome
  readonly endedAtMs: number
  #stdout: OutputLog
  #stderr: OutputLog
  /** What of it was still open when it ended. */
  readonly leftOpen: readonly LeftOpen[]

  constructor(execution: Execution, endedAtMs: number) {
    this.id = execution.id
    this.mark = markOf(execution.request)
    this.outcome = execution.outcome as Outcome
    this.endedAtMs = endedAtMs
    this.#stdout = execution.stdout
    this.#stderr = execution.stderr
    const open = execution.leftOpen.filter(({ over }) => !over)
    this.leftOpen = open.length === 0 ? nothing : open
    this.#stdout.settle()
    this.#stderr.settle()
  }

  get stdout(): OutputLog {
    return this.#stdout
  }

  get stderr(): OutputLog {
    return this.#stderr
  }

  /** Bytes of output that it takes. */
  get heldBytes(): number {
    return this.#stdout.heldBytes + this.#stderr.heldBytes
  }

  /** Keeps only how much output there was. Readers that are at it already have it to its end. */
  letOutputGo(): void {
    this.#stdout = OutputLog.lost(this.#stdout.bytes)
    this.#stderr = OutputLog.lost(this.#stderr.bytes)
  }

  /** It is over already. */
  async cancel(): Promise<void> {}

  /** Its lease ends: what it left in the background is heard no more. */
  abandon(): void {
    for (const one of this.leftOpen) one.close()
  }

  /** There is no progress any more. */
  on(): void {}
  off(): void {}
  readOn(): void {}
}

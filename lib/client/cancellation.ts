import { setTimeout as delay } from 'node:timers/promises'
import { SlotpoolError } from '../errors.ts'
import type { SandboxClient } from './sandbox-client.ts'
import { whenAborted } from './when-aborted.ts'

/** How soon a cancel is sent again that came before its command, or was lost. */
const pauseMs = 20
/** How long a cancel is sent again to a server that is not there. */
const patienceMs = 10_000

/** Ends an execution when its caller's signal is aborted. */
export class Cancellation {
  readonly #client: SandboxClient
  readonly #leaseId: string
  readonly #executionId: string
  readonly #signal: AbortSignal
  readonly #over = new AbortController()
  readonly #failed = new AbortController()
  readonly #unreachable = new AbortController()
  #cancelling: Promise<void> | undefined

  constructor(client: SandboxClient, leaseId: string, executionId: string, signal: AbortSignal) {
    this.#client = client
    this.#leaseId = leaseId
    this.#executionId = executionId
    this.#signal = signal
    whenAborted(signal, this.#begin)
  }

  /** Aborted, with the reason, when the command was to be ended and nobody is there to do it. */
  get unreachable(): AbortSignal {
    return this.#unreachable.signal
  }

  /** The execution has failed: nobody asks for its end any more. */
  giveUp(): void {
    this.#failed.abort()
  }

  /** The execution is over. Resolves when nothing is asked any more. */
  async end(): Promise<void> {
    this.#over.abort()
    this.#signal.removeEventListener('abort', this.#begin)
    await this.#cancelling
  }

  readonly #begin = (): void => {
    this.#cancelling = this.#cancel().catch((error) => this.#unreachable.abort(error))
  }

  /**
   * Asks until it is had, or over anyway: the first to ask may overtake the command itself, or be lost.
   *
   * @throws {SlotpoolError} `SERVER_UNREACHABLE` when the server is not there to be asked.
   */
  async #cancel(): Promise<void> {
    const giveUpAt = Date.now() + patienceMs
    while (!this.#over.signal.aborted) {
      try {
        await this.#client.cancel(this.#leaseId, this.#executionId, this.#failed.signal)
        return
      } catch (error) {
        if (!(error instanceof SlotpoolError) || !['EXECUTION_NOT_FOUND', 'SERVER_UNREACHABLE'].includes(error.code)) return
        if (error.code === 'SERVER_UNREACHABLE' && Date.now() >= giveUpAt) throw error
      }
      await delay(pauseMs, undefined, { signal: this.#over.signal }).catch(() => {})
    }
  }
}

import { type AllocationStub, listJobAllocations } from '../../nomad/allocations.ts'
import { followQuery } from '../../nomad/blocking-query.ts'
import { type Evaluation, listJobEvaluations } from '../../nomad/evaluations.ts'
import { isOfPool } from './containers.ts'
import type { NomadPool } from './nomad-pool.ts'

/** Follows a pool's allocations and evaluations by two blocking queries, and tells who waits that something changed. */
export class PoolWatch implements AsyncDisposable {
  #allocations: readonly AllocationStub[] | null = null
  #evaluations: readonly Evaluation[] | null = null
  readonly #stop = new AbortController()
  readonly #followers: Promise<void>[]
  readonly #waiting = new Set<() => void>()
  #changed = false
  #failure: { error: unknown } | undefined

  constructor(pool: Pick<NomadPool, 'client' | 'jobId'>) {
    const { signal } = this.#stop
    const followers = [
      followQuery(
        (parameters) => listJobAllocations(pool.client, pool.jobId, {}, parameters, signal),
        (allocations) => {
          this.#allocations = allocations.filter(isOfPool)
          this.touch()
        },
        signal,
      ),
      followQuery(
        (parameters) => listJobEvaluations(pool.client, pool.jobId, parameters, signal),
        (evaluations) => {
          this.#evaluations = evaluations
          this.touch()
        },
        signal,
      ),
    ]
    this.#followers = followers.map((follower) =>
      follower.catch((error: unknown) => {
        this.#failure = { error }
        this.touch()
      }),
    )
  }

  get allocations(): readonly AllocationStub[] {
    return this.#allocations ?? []
  }

  get evaluations(): readonly Evaluation[] {
    return this.#evaluations ?? []
  }

  /** Something changed that this does not follow itself. */
  touch(): void {
    this.#changed = true
    for (const wake of this.#waiting) wake()
  }

  /**
   * Resolves when both lists are known and something changed since this last resolved, or when `signal` aborts.
   *
   * @throws {SlotpoolError} why it cannot follow any more.
   */
  async changed(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.#failure === undefined && !(this.#changed && this.#complete)) await this.#touched(signal)
    this.#changed = false
    if (this.#failure !== undefined) throw this.#failure.error
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#followers)
  }

  get #complete(): boolean {
    return this.#allocations !== null && this.#evaluations !== null
  }

  #touched(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake)
        signal.removeEventListener('abort', wake)
        resolve()
      }
      this.#waiting.add(wake)
      signal.addEventListener('abort', wake)
    })
  }
}

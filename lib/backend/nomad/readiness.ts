import { type AllocatedPort, type AllocationStub, allocationRun, listJobPorts, serverRuns } from '../../nomad/allocations.ts'
import { patienceWith, waitUntilItAnswers } from './answering.ts'
import { allocationEndpoint } from './containers.ts'
import type { NomadPool } from './nomad-pool.ts'

/** Waits for the sandbox servers of running allocations to answer, all at once, and tells each time that one did. */
export class Readiness implements AsyncDisposable {
  readonly #pool: NomadPool
  readonly #onChange: () => void
  readonly #stop = new AbortController()
  readonly #waits = new Map<string, Promise<void>>()
  readonly #failures = new Map<string, unknown>()
  #ports: Map<string, AllocatedPort[]> = new Map()

  constructor(pool: NomadPool, onChange: () => void) {
    this.#pool = pool
    this.#onChange = onChange
  }

  /** Begins to wait for those of `live` that run and that it does not wait for yet. @throws why one that still runs will not answer. */
  async follow(live: readonly AllocationStub[], signal: AbortSignal): Promise<void> {
    const running = live.filter(serverRuns)
    for (const one of running) if (this.#failures.has(one.ID)) throw this.#failures.get(one.ID)
    const fresh = (one: AllocationStub): boolean => !this.#waits.has(allocationRun(one)) && !this.#pool.answered.has(allocationRun(one))
    // Nomad gives an allocation its port before it tells the node to start it: asked for then, it is known when the server is up.
    if (live.some((one) => fresh(one) && !this.#ports.has(one.ID))) {
      this.#ports = await listJobPorts(this.#pool.client, this.#pool.jobId, signal)
    }
    for (const one of running.filter(fresh)) {
      const endpoint = allocationEndpoint(this.#ports.get(one.ID))
      if (endpoint === undefined) continue
      const wait = waitUntilItAnswers(one.Name, endpoint, patienceWith(this.#pool.job), this.#stop.signal).then(
        () => this.#pool.answered.add(allocationRun(one)),
        (error: unknown) => this.#failures.set(one.ID, error),
      )
      this.#waits.set(allocationRun(one), wait.then(this.#onChange))
    }
  }

  /** How many of `running` have answered. */
  answering(running: readonly AllocationStub[]): number {
    return running.filter((one) => this.#pool.answered.has(allocationRun(one))).length
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#waits.values())
  }
}

import type { Config } from '../../config.ts'
import { type AllocationStub, allocationRun, listJobAllocations, listJobPorts, serverRuns } from '../../nomad/allocations.ts'
import { NomadClient } from '../../nomad/client.ts'
import { groupName, poolJobId, readJobMeta } from '../../nomad/job-spec.ts'
import { jobCount, readJob } from '../../nomad/jobs.ts'
import type { Backend, Container, PoolShape } from '../backend.ts'
import { EngineWatch } from '../engine-watch.ts'
import { checkRemoteMounts } from '../host-mounts.ts'
import { silence } from './answering.ts'
import { allocationEndpoint, isLive, poolAllocations, toContainer } from './containers.ts'
import { followPoolEvents } from './follow-events.ts'
import { growPool } from './grow-pool.ts'
import type { NomadPool } from './nomad-pool.ts'
import { poolJobOf } from './pool-job.ts'
import { removeJob } from './removal.ts'
import { removeAllocation } from './remove-container.ts'
import { VariableToken } from './variable-token.ts'

/** A pool as a service job of Nomad: each allocation is a container, found again by the job's id. */
export class NomadBackend implements Backend {
  readonly name = 'nomad'
  readonly driver = 'docker'
  readonly #config: Config
  readonly #pool: NomadPool
  readonly #closed = new AbortController()
  readonly #underWay = new Set<Promise<void>>()
  readonly #watch = new EngineWatch({
    follow: (onEvent, signal) => followPoolEvents(this.#pool, onEvent, signal),
    list: (signal) => this.#list(signal),
    lagMs: 0,
  })

  /** @throws {SlotpoolError} `CONFIG_INVALID` for driver `singularity`, and when a certificate or key cannot be read. */
  constructor(config: Config) {
    const job = poolJobOf(config)
    this.#config = config
    const client = new NomadClient(config.nomad)
    const { pool } = config
    this.#pool = {
      client,
      jobId: poolJobId(pool),
      job,
      token: new VariableToken(client, pool),
      answered: new Set(),
    }
  }

  /** The token in the Nomad Variable under the job's name. @throws {SlotpoolError} `NOMAD_…`. */
  token(signal?: AbortSignal): Promise<string> {
    return this.#pool.token.ensure(signal)
  }

  list(signal?: AbortSignal): Promise<Container[]> {
    return this.#watch.list(signal)
  }

  /** What a node has at those paths shows when a task starts there: this machine need not be one. */
  async check(config: Config): Promise<void> {
    checkRemoteMounts(config)
  }

  async shape(signal?: AbortSignal): Promise<PoolShape | null> {
    const job = await readJob(this.#pool.client, this.#pool.jobId, signal)
    if (job === null || jobCount(job, groupName) === 0) return null
    return readJobMeta(job.Meta)
  }

  async grow(count: number, signal?: AbortSignal): Promise<Container[]> {
    checkRemoteMounts(this.#config)
    for (;;) {
      if (count > 0) await this.#whileOpen(signal, (either) => growPool(this.#pool, count, either))
      const containers = await this.list(signal)
      // Another process may have removed one in between.
      if (containers.filter((one) => one.state === 'ready').length >= count) return containers
    }
  }

  async remove({ id }: Container, signal?: AbortSignal): Promise<void> {
    await this.#whileOpen(signal, (either) => removeAllocation(this.#pool, id, either))
  }

  watch(onChange: () => void, signal: AbortSignal): Promise<void> {
    return this.#watch.join(onChange, signal)
  }

  async destroy(signal?: AbortSignal): Promise<void> {
    await this.#whileOpen(signal, async (either) => {
      await removeJob(this.#pool, either)
      await this.#pool.token.remove(either)
    })
  }

  /** A `grow`, `remove` or `destroy` that is under way is given up first, and what it began taken back. */
  async close(): Promise<void> {
    this.#closed.abort()
    this.#watch.close()
    await Promise.allSettled(this.#underWay)
    this.#pool.client.close()
  }

  async #list(signal: AbortSignal | undefined): Promise<Container[]> {
    const { client, jobId } = this.#pool
    const [{ value }, ports] = await Promise.all([listJobAllocations(client, jobId, {}, {}, signal), listJobPorts(client, jobId, signal)])
    return Promise.all(poolAllocations(value).map((one) => this.#container(one, allocationEndpoint(ports.get(one.ID)), signal)))
  }

  async #whileOpen(signal: AbortSignal | undefined, work: (either: AbortSignal) => Promise<void>): Promise<void> {
    const running = work(signal === undefined ? this.#closed.signal : AbortSignal.any([signal, this.#closed.signal]))
    this.#underWay.add(running)
    try {
      await running
    } finally {
      this.#underWay.delete(running)
    }
  }

  async #container(allocation: AllocationStub, endpoint: Container['endpoint'], signal: AbortSignal | undefined): Promise<Container> {
    const { answered } = this.#pool
    const mayAnswer = isLive(allocation) && serverRuns(allocation) && endpoint !== undefined
    if (!mayAnswer || answered.has(allocationRun(allocation))) return toContainer(allocation, endpoint, undefined)
    const reason = await silence(endpoint, signal)
    if (reason === undefined) answered.add(allocationRun(allocation))
    return toContainer(allocation, endpoint, reason)
  }
}

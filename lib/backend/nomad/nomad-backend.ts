import { LinkedAbortController } from '../../client/linked-abort-controller.ts'
import type { Config, NomadDriver } from '../../config.ts'
import { allocationRun, listJobAllocations, listJobPorts, serverRuns } from '../../nomad/allocations.ts'
import { changesByHand } from '../../nomad/changes-by-hand.ts'
import { NomadClient } from '../../nomad/client.ts'
import { generationOf, poolJobId, readGroupMeta } from '../../nomad/job-spec.ts'
import { readJob } from '../../nomad/jobs.ts'
import { poolCount, poolGroups } from '../../nomad/pool-groups.ts'
import type { Backend, Container, PoolShape, RollOptions } from '../backend.ts'
import { EngineWatch } from '../engine-watch.ts'
import { checkRemoteMounts } from '../host-mounts.ts'
import { type PoolVersion, refuseOtherChange, versionId, withShape } from '../pool-version.ts'
import type { Notice } from '../provider.ts'
import { silence } from './answering.ts'
import { changedJob, refuseFixedPlacement, refuseLossOfChanges } from './changed-job.ts'
import { allocationEndpoint, isLive, type PoolAllocation, poolAllocations, toContainer } from './containers.ts'
import { followPoolEvents } from './follow-events.ts'
import { groupVersion } from './group-version.ts'
import { growByGroup, growPool } from './grow-pool.ts'
import type { NomadPool } from './nomad-pool.ts'
import { poolJobOf } from './pool-job.ts'
import { removeJob } from './removal.ts'
import { removeAllocation } from './remove-container.ts'
import { VariableToken } from './variable-token.ts'

/** A pool as a service job of Nomad: each allocation is a container, found again by the job's id. */
export class NomadBackend implements Backend {
  readonly name = 'nomad'
  readonly driver: NomadDriver
  readonly removesHighestOnly = true
  readonly #config: Config
  readonly #pool: NomadPool
  readonly #closed = new AbortController()
  readonly #underWay = new Set<Promise<void>>()
  /** By the id of the allocation. */
  readonly #versions = new Map<string, PoolVersion>()
  readonly #watch = new EngineWatch({
    follow: (onEvent, signal) => followPoolEvents(this.#pool, onEvent, signal),
    list: (signal) => this.#list(signal),
    lagMs: 0,
  })

  /**
   * @param notice told that a node pulls the image, and how far that is. Default: nobody is.
   * @throws {SlotpoolError} `CONFIG_INVALID` for an image that the driver cannot run, and when a certificate or key cannot be read.
   */
  constructor(config: Config, notice: Notice = () => {}) {
    const job = poolJobOf(config)
    this.#config = config
    this.driver = config.nomad.driver
    const client = new NomadClient(config.nomad)
    const { pool } = config
    this.#pool = {
      client,
      jobId: poolJobId(pool),
      job,
      token: new VariableToken(client, pool),
      answered: new Set(),
      notice,
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
    if (poolCount(job) === 0) return null
    return readGroupMeta(poolGroups(job)[0]?.meta)?.shape ?? null
  }

  async roll(shape: PoolShape, { force = false, signal }: RollOptions = {}): Promise<boolean> {
    checkRemoteMounts(withShape(this.#config, shape))
    const { client, jobId, job: own } = this.#pool
    const job = await readJob(client, jobId, signal)
    const [newest] = poolGroups(job)
    const running = readGroupMeta(newest?.meta)
    if (job === null || !newest || poolCount(job) === 0 || !running) return false
    const id = versionId(shape, own.version)
    const isSame = id === groupVersion(newest).id
    if (
      isSame &&
      !force &&
      (await this.#list(signal)).some((one) => one.state === 'ready' && one.version?.generation === newest.generation)
    ) {
      return false
    }
    refuseFixedPlacement(own.pool, running.shape.placement, shape.placement ?? {})
    // What another process began, and may have died over, is waited for.
    const isBegun = isSame && !force
    if (!force && !isBegun) refuseLossOfChanges(own.pool, changesByHand(job, own))
    const spec = changedJob(own, shape, newest.generation + (isBegun ? 0 : 1))
    await this.#whileOpen(signal, (either) => growByGroup(this.#pool, spec, id, either))
    const [now] = poolGroups(await readJob(client, jobId, signal))
    refuseOtherChange(own.pool, now && groupVersion(now), { id, generation: spec.generation ?? 0 })
    return !isBegun
  }

  async changedByHand(signal?: AbortSignal): Promise<string[]> {
    const { client, jobId, job } = this.#pool
    const current = await readJob(client, jobId, signal)
    return current === null ? [] : changesByHand(current, job)
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
    await this.#whileOpen(signal, (either) => removeJob(this.#pool, either))
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
    const found = poolAllocations(value)
    await this.#learnVersions(found, signal)
    return Promise.all(found.map((one) => this.#container(one, allocationEndpoint(ports.get(one.allocation.ID)), signal)))
  }

  /** An allocation stays what it was made as, so that the job is read only when others came. */
  async #learnVersions(found: readonly PoolAllocation[], signal: AbortSignal | undefined): Promise<void> {
    const ids = new Set(found.map(({ allocation }) => allocation.ID))
    for (const id of this.#versions.keys()) if (!ids.has(id)) this.#versions.delete(id)
    if (found.every(({ allocation }) => this.#versions.has(allocation.ID))) return
    const groups = poolGroups(await readJob(this.#pool.client, this.#pool.jobId, signal))
    for (const { allocation } of found) {
      const group = groups.find(({ name }) => name === allocation.TaskGroup)
      if (group && !this.#versions.has(allocation.ID)) this.#versions.set(allocation.ID, groupVersion(group))
    }
  }

  async #whileOpen(signal: AbortSignal | undefined, work: (either: AbortSignal) => Promise<void>): Promise<void> {
    using either = new LinkedAbortController(this.#closed.signal, ...(signal ? [signal] : []))
    const running = work(either.signal)
    this.#underWay.add(running)
    try {
      await running
    } finally {
      this.#underWay.delete(running)
    }
  }

  async #container(one: PoolAllocation, endpoint: Container['endpoint'], signal: AbortSignal | undefined): Promise<Container> {
    const { answered } = this.#pool
    const { allocation } = one
    // Its group may be gone, and it about to follow.
    const version = this.#versions.get(allocation.ID) ?? { id: '', generation: generationOf(allocation.TaskGroup) ?? 0, image: null }
    const mayAnswer = isLive(allocation) && serverRuns(allocation) && endpoint !== undefined
    if (!mayAnswer || answered.has(allocationRun(allocation))) return toContainer(one, version, endpoint, undefined)
    const reason = await silence(endpoint, signal)
    if (reason === undefined) answered.add(allocationRun(allocation))
    return toContainer(one, version, endpoint, reason)
  }
}

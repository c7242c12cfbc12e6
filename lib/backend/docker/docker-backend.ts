import { rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import type { Config } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'
import { poolDir } from '../../state-dir.ts'
import type { Backend, Container, PoolShape, RollOptions } from '../backend.ts'
import { throwIfCancelled } from '../cancelled.ts'
import { EngineWatch } from '../engine-watch.ts'
import { resolveMounts } from '../host-mounts.ts'
import { newestVersion, refuseOtherChange } from '../pool-version.ts'
import type { Notice } from '../provider.ts'
import { refuseSharedSystem } from '../task-image.ts'
import { keepToken, knownToken, readOrMakeToken } from '../token-file.ts'
import { Backoff } from './backoff.ts'
import { ContainerPlans } from './container-plan.ts'
import { type ContainerPlan, containerName } from './container-spec.ts'
import { DockerEngine } from './engine.ts'
import { isOfEngine, noteEngine } from './engine-note.ts'
import { ensureImage } from './ensure-image.ts'
import { followEvents } from './follow-events.ts'
import { type GrowContext, growPool } from './grow-pool.ts'
import { findHalfMade } from './half-made.ts'
import { makeContainer } from './make-container.ts'
import { isLive, listPoolContainers, newestContainer, type PoolContainer } from './pool-containers.ts'
import { probe } from './readiness.ts'
import { reapLeftovers } from './reap-leftovers.ts'
import { removeContainer } from './remove-container.ts'
import { removeLostVolumes } from './remove-volumes.ts'
import { removeUnusedTools } from './tools-volume.ts'
import { undoContainers } from './undo-containers.ts'

/** Containers on one Docker engine. They carry the pool's name as a label, and are found again by it. */
export class DockerBackend implements Backend {
  readonly name = 'docker'
  readonly #config: Config
  readonly #env: NodeJS.ProcessEnv
  readonly #notice: Notice
  readonly #engine: DockerEngine
  /** Runs of containers that answered once: while they last, they are not asked again. */
  readonly #answered = new Set<string>()
  readonly #watch = new EngineWatch({
    follow: (onEvent, signal) => followEvents(this.#engine, this.#config.pool, onEvent, signal),
    list: (signal) => this.#list(signal),
    // The engine tells of an event before it writes it to its disk, and what it lists is what it has written.
    lagMs: 4_000,
  })

  /**
   * Connects to nothing yet.
   *
   * @param env where `DOCKER_HOST` and its like, and the place of the state folder, are read from.
   * @param notice told that an image is pulled, and how far that is. Default: nobody is.
   * @throws {SlotpoolError} `CONFIG_INVALID` when the engine's address cannot be used.
   */
  constructor(config: Config, env: NodeJS.ProcessEnv = process.env, notice: Notice = () => {}) {
    this.#config = config
    this.#env = env
    this.#notice = notice
    this.#engine = new DockerEngine(env)
    if (this.#engine.isLocal) return
    const { address, namedBy } = this.#engine.address
    this.#engine.close()
    throw new SlotpoolError(
      'CONFIG_INVALID',
      `${namedBy}: got ${address}, expected an engine on this machine: sandbox servers are published on its loopback only. ` +
        'Containers on other machines are what the nomad backend is for.',
      { details: { variable: namedBy, got: address } },
    )
  }

  async token(): Promise<string> {
    const folder = this.#folder()
    const token = await readOrMakeToken(folder)
    noteEngine(folder, this.#engine.address.address)
    return token
  }

  list(signal?: AbortSignal): Promise<Container[]> {
    return this.#watch.list(signal)
  }

  async check(config: Config): Promise<void> {
    refuseSharedSystem(config)
    await resolveMounts(config, this.#env)
  }

  async shape(signal?: AbortSignal): Promise<PoolShape | null> {
    const found = await listPoolContainers(this.#engine, this.#config.pool, signal)
    return (newestContainer(found) ?? found[0])?.shape ?? null
  }

  async grow(count: number, signal?: AbortSignal): Promise<Container[]> {
    const plans = this.#plans(signal)
    return this.#grow(count, (found) => plans.like(found), signal)
  }

  async roll(shape: PoolShape, { force = false, signal }: RollOptions = {}): Promise<boolean> {
    const found = (await listPoolContainers(this.#engine, this.#config.pool, signal)).filter(isLive)
    const newest = newestContainer(found)
    if (!newest) return false
    const plan = await this.#plans(signal).changed(shape, newest.version.generation + 1)
    if (plan.version.id === newest.version.id && !force) {
      const same = found.filter(({ version }) => version.generation === newest.version.generation)
      const described = await Promise.all(same.map((one) => this.#describe(one, signal)))
      const isReady = described.some((one) => one.state === 'ready')
      // Whoever began it may have died over it: what was started is waited for, what never was goes.
      await this.grow(isReady ? 1 : found.filter((one) => one.state !== 'created').length, signal)
      return false
    }
    const containers = await this.#grow(
      found.length + 1,
      async (now) => {
        refuseOtherChange(this.#config.pool, newestContainer(now)?.version, plan.version)
        return plan
      },
      signal,
    )
    refuseOtherChange(this.#config.pool, newestVersion(containers.map((one) => one.version)), plan.version)
    return true
  }

  #plans(signal: AbortSignal | undefined): ContainerPlans {
    const options = { notice: this.#notice, env: this.#env, signal }
    return new ContainerPlans(this.#engine, this.#config, this.#env, (image) => ensureImage(this.#engine, image, options))
  }

  async #grow(
    count: number,
    planFor: (found: readonly PoolContainer[]) => Promise<ContainerPlan>,
    signal: AbortSignal | undefined,
  ): Promise<Container[]> {
    const engine = this.#engine
    const { pool } = this.#config
    const token = await this.token()
    let reaping: Promise<void> | undefined
    let last: PoolContainer[] = []
    const context: GrowContext = {
      pool,
      list: async () => {
        last = await listPoolContainers(engine, pool, signal)
        return last
      },
      findHalfMade: (containers) => findHalfMade(engine, containers),
      describe: (one) => this.#describe(one, signal),
      make: async (index, either) => {
        const plan = await planFor(last)
        reaping ??= reapLeftovers(engine, pool, this.#env)
        const made = await makeContainer(engine, plan, index, () => this.token(), either)
        if (made !== undefined) this.#answered.add(made.run)
        return made?.id
      },
      remove: (id) => removeContainer(engine, id, signal),
      undo: (ids) => undoContainers(engine, pool, token, ids),
    }
    try {
      const containers = await growPool(context, count, signal)
      // Another process whose start failed took it for nobody's.
      await keepToken(this.#folder(), token)
      return containers
    } catch (error) {
      await this.#forgetUnused().catch(() => {})
      throw error
    } finally {
      await reaping
    }
  }

  async remove({ id }: Container, signal?: AbortSignal): Promise<void> {
    await removeContainer(this.#engine, id, signal)
  }

  watch(onChange: () => void, signal: AbortSignal): Promise<void> {
    return this.#watch.join(onChange, signal)
  }

  async destroy(signal?: AbortSignal): Promise<void> {
    const backoff = new Backoff()
    for (;;) {
      const found = await listPoolContainers(this.#engine, this.#config.pool, signal)
      if (found.length === 0) break
      await Promise.all(found.map((one) => removeContainer(this.#engine, one.id, signal)))
      await backoff.pause(signal)
    }
    throwIfCancelled(signal)
    await removeLostVolumes(this.#engine, this.#config.pool)
    await removeUnusedTools(this.#engine)
    this.#answered.clear()
    await this.#removeToken()
  }

  /** Another process may be making the pool again, and have found the token before it went: then that is put back. */
  async #removeToken(): Promise<void> {
    const folder = this.#folder()
    const isMadeAgain = async (): Promise<boolean> => (await listPoolContainers(this.#engine, this.#config.pool)).length > 0
    if (!isOfEngine(folder, this.#engine.address.address) || (await isMadeAgain())) return
    const token = knownToken(folder)
    await rm(folder, { recursive: true, force: true })
    if (token !== undefined && (await isMadeAgain())) await keepToken(this.#folder(), token)
  }

  async close(): Promise<void> {
    this.#watch.close()
    this.#engine.close()
  }

  /** A start that failed before there was any container leaves nothing: neither its token nor tools. */
  async #forgetUnused(): Promise<void> {
    if (this.#config.toolsImage !== undefined) await removeUnusedTools(this.#engine)
    const found = await listPoolContainers(this.#engine, this.#config.pool)
    if (found.length === 0 && isOfEngine(this.#folder(), this.#engine.address.address))
      await rm(this.#folder(), { recursive: true, force: true })
  }

  #folder(): string {
    return poolDir(this.#config.pool, 'docker', this.#env)
  }

  async #list(signal: AbortSignal | undefined): Promise<Container[]> {
    const found = await listPoolContainers(this.#engine, this.#config.pool, signal)
    return Promise.all(found.map((one) => this.#describe(one, signal)))
  }

  async #describe(one: PoolContainer, signal: AbortSignal | undefined): Promise<Container> {
    const base = { id: one.id, index: one.index, node: hostname(), version: one.version }
    if (!isLive(one)) return { ...base, state: 'dead', reason: `${one.state}: ${one.status}` }
    const name = containerName(this.#config.pool, one.index)
    const { endpoint } = one
    if (one.state !== 'running' || endpoint === undefined)
      return { ...base, state: 'starting', ...(endpoint ? { endpoint } : {}), reason: `${name} is ${one.state}: ${one.status}` }
    const { answers, reason } = this.#answered.has(one.run) ? { answers: true } : await probe(endpoint, signal)
    if (!answers) return { ...base, state: 'starting', endpoint, ...(reason === undefined ? {} : { reason }) }
    this.#answered.add(one.run)
    return { ...base, state: 'ready', endpoint }
  }
}

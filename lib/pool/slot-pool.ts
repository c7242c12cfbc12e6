import { inspect } from 'node:util'
import type { Backend } from '../backend/backend.ts'
import { openBackend } from '../backend/open-backend.ts'
import type { Notice } from '../backend/provider.ts'
import { whenAborted } from '../client/when-aborted.ts'
import { type Config, loadConfig, type SlotPoolOptions } from '../config.ts'
import { SlotpoolError } from '../errors.ts'
import { type Clock, systemClock } from '../sandbox/clock.ts'
import type { LeaseMetadata } from '../wire/metadata.ts'
import { ContainerWatch } from './container-watch.ts'
import { Containers } from './containers.ts'
import { growAsFar } from './grow-as-far.ts'
import { Growth } from './growth.ts'
import { LeaseAttempts } from './lease-attempts.ts'
import type { PlacedLease } from './lease-by-roster.ts'
import { checkLeaseOptions, checkMetadata, checkTaskId, checkWaitMs, type LeaseOptions } from './lease-options.ts'
import { byRoster, leaseTask } from './lease-task.ts'
import { LookOut } from './look-out.ts'
import { Counters, type PoolMetrics } from './metrics.ts'
import { type Change, checkChange, PoolChange } from './pool-change.ts'
import { poolFull } from './pool-full.ts'
import { PoolRoster } from './pool-roster.ts'
import { type PoolStatus, poolStatus } from './pool-status.ts'
import { notAllReleased, releaseEvery } from './release-every.ts'
import { releaseLease } from './release-lease.ts'
import { Scaler } from './scaler.ts'
import { Slot } from './slot.ts'
import { TaskHolders } from './task-holders.ts'
import { Vacancies } from './vacancies.ts'
import { turnOrAbort, WaitingLine } from './waiting-line.ts'

const forgetTimeoutMs = 1_000

/** How full the pool is, for whoever waited in vain, is asked for so long. */
const statusTimeoutMs = 5_000

/** How long `down` tries to end what runs in the slots; what it could not end ends with its container. */
const releaseAllTimeoutMs = 2_000

/** How {@link SlotPool.open} goes about it. */
export interface OpenOptions extends SlotPoolOptions {
  /** Use this backend, such as a `FakeBackend`, instead of the one that `env` names. */
  backend?: Backend
  /** Gives up opening. */
  signal?: AbortSignal
  /**
   * What happens where the pool runs with something else than is asked for. `refuse`: `POOL_CONFIG_MISMATCH`. `roll`: it is changed, container by
   * container, leases finishing where they are: opening makes the first container as it is asked for here, all who use the pool do the rest, and
   * {@link SlotPool.finishChange} waits for it. `force`: the same, also where nothing differs, and over what was changed by hand. What is not asked
   * for stays as it runs. Default: `refuse`.
   */
  change?: Change
  /** Takes lines meant for a person. Default: they go to stderr. */
  onNotice?: Notice
  /** What time it is, for tests that move it. Default: the machine's own. */
  clock?: Clock
}

/**
 * All containers with one name, and the slots in them. The pool itself lives in its containers: any number of processes may open it at
 * once, and it outlives them all. What nobody uses ends by itself.
 */
export class SlotPool implements AsyncDisposable {
  readonly config: Config
  readonly #backend: Backend
  readonly #containers: Containers
  readonly #roster: PoolRoster
  readonly #line: WaitingLine
  readonly #vacancies: Vacancies
  readonly #lookOut: LookOut
  readonly #growth: Growth
  readonly #scaler: Scaler
  readonly #watch: ContainerWatch
  readonly #change: PoolChange
  readonly #counters = new Counters()
  readonly #clock: Clock
  readonly #onNotice: Notice
  #lastNotice = ''
  #lastStuck = ''
  readonly #slots = new Map<string, Slot>()
  readonly #holders = new TaskHolders()
  readonly #attempts = new LeaseAttempts()
  /** What goes on behind a call: leases being given back whose askers gave up, notes of leases that ended. */
  readonly #behind = new Set<Promise<void>>()
  #closed = false

  private constructor(config: Config, backend: Backend, onNotice: Notice, clock: Clock) {
    this.config = config
    this.#backend = backend
    this.#clock = clock
    this.#vacancies = new Vacancies(clock)
    this.#onNotice = onNotice
    this.#containers = new Containers(
      backend,
      clock,
      (id) => this.#vacancies.heard(id, config.slots),
      (id) => this.#vacancies.heard(id, 0),
    )
    this.#roster = new PoolRoster(this.#containers)
    this.#line = new WaitingLine(config.maxWaiting)
    this.#lookOut = new LookOut(this.#vacancies, clock)
    this.#growth = new Growth({
      grow: (count, signal) => {
        const grow = async (to: number): Promise<void> => {
          this.#roster.covers(await this.#containers.grow(to, signal))
          await this.#change.noteByHand(signal)
        }
        return growAsFar({ grow, waiting: () => this.#line.length }, count)
      },
      clock,
      onEnd: (failure) => this.#noteGrowth(failure),
    })
    this.#scaler = new Scaler({
      containers: this.#containers,
      idleMs: config.scaleDownMs,
      giveUpSilentMs: config.lifetimeMs,
      needs: () => ({
        min: config.min,
        max: config.max,
        waiting: this.#line.length,
        active: this.#slots.size > 0 || this.#line.length > 0,
        stuck: this.#growth.rests,
        highestOnly: backend.removesHighestOnly ?? false,
      }),
      grow: (count) => this.#growth.begin(() => count),
      onRemoved: (_id, why) => this.#counters.removed[why]++,
      onStuck: (id, error) => this.#noteStuck(`slotpool: pool ${config.pool} could not remove container ${id}: ${error.message}`),
      clock,
    })
    this.#watch = new ContainerWatch(backend, this.#containers)
    const parts = { containers: this.#containers, scaler: this.#scaler, growth: this.#growth }
    this.#change = new PoolChange({ config, backend, ...parts, clock, onNotice })
  }

  /**
   * Opens the pool and makes it have its `min` containers. Where one serves already, the others start behind the return: see {@link fill}.
   *
   * @throws {SlotpoolError} `CONFIG_*` for bad options or variables; `MOUNT_INVALID`; `POOL_CONFIG_MISMATCH` when the pool runs with
   *   something else than was asked for and is not to be changed, or cannot be; `POOL_CHANGED_BY_HAND` when it is to be changed, and what
   *   somebody changed by hand would be lost; the backend's own errors.
   */
  static async open(options: OpenOptions = {}): Promise<SlotPool> {
    const pool = await SlotPool.attach(options)
    try {
      await pool.#change.check(options.change ?? 'refuse', options.signal)
      await pool.#firstContainer(options.signal)
      return pool
    } catch (error) {
      await pool.close()
      throw error
    }
  }

  /** The pool as it is: makes no container and checks nothing. For status, releasing and taking down. */
  static async attach(options: OpenOptions = {}): Promise<SlotPool> {
    if (typeof options !== 'object' || options === null)
      throw new SlotpoolError('CONFIG_INVALID', `options: got ${inspect(options)}, expected an object such as { pool, env }`)
    const { backend, signal, change, onNotice = (line) => process.stderr.write(`${line}\n`), clock = systemClock, ...rest } = options
    checkChange(change)
    const config = loadConfig(rest)
    return new SlotPool(config, backend ?? (await openBackend(config, onNotice, signal)), onNotice, clock)
  }

  /** `local`, `docker`, `nomad` or `fake`: where the containers really are, after any fallback. */
  get backend(): Backend['name'] {
    return this.#backend.name
  }

  /**
   * The slot of a task: the one it has, whichever process got it, or a new one.
   *
   * @throws {SlotpoolError} `POOL_FULL` when none came free in time, saying how full the pool is; `LEASE_OWNER_MISMATCH`; `CANCELLED`;
   *   `SERVER_UNREACHABLE` when it may have its slot in a container that lives but could not be asked; the backend's own errors when it had
   *   to grow and could not.
   */
  async lease(taskId: string, options: LeaseOptions = {}): Promise<Slot> {
    this.#checkOpen()
    checkTaskId(taskId)
    checkLeaseOptions(options)
    this.#scaler.start()
    const placed = await this.#leaseInTime(taskId, options).catch((error) => {
      this.#counters.leasesFailed[SlotpoolError.from(error).failure]++
      throw error
    })
    this.#counters.leasesHad++
    this.#watch.start()
    const held = this.#slots.get(taskId)
    const slot = held?.leaseId === placed.lease.leaseId ? held : this.#hold(placed)
    if (options.heartbeat ?? true) slot.startHeartbeat()
    else slot.forgetWhenDisused()
    return slot
  }

  /**
   * Leases the slot of a task for as long as `work` takes, and releases it whether `work` returns, throws or is aborted. Where several in
   * this process do so for one task at once, the last to end releases it. What `work` returned is returned also where the slot's server cannot be reached
   * to release it: that is told as a notice, and the lease ends with its lifetime.
   */
  async withSlot<T>(taskId: string, work: (slot: Slot) => Promise<T> | T, options: LeaseOptions = {}): Promise<T> {
    this.#checkOpen()
    checkTaskId(taskId)
    checkLeaseOptions(options)
    await this.#holders.enter(taskId)
    let slot: Slot | undefined
    let left: Promise<void> | undefined
    const leave = (): Promise<void> => {
      left ??= this.#holders.leave(taskId, slot)
      return left
    }
    const { signal } = options
    const onAbort = (): void => void leave().catch(() => {})
    let result: T
    try {
      slot = await this.lease(taskId, options)
      if (signal) whenAborted(signal, onAbort)
      result = await work(slot)
    } catch (error) {
      // What the work threw is what its caller has to know; a slot that cannot be released, for its container is gone, is not.
      await leave().catch(() => {})
      throw error
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
    await leave().catch((error) => this.#noteUnreleased(taskId, error))
    return result
  }

  /**
   * Releases the slot of a task, whichever process got it.
   *
   * @throws {SlotpoolError} `TASK_NOT_FOUND` when the task has none; `SERVER_UNREACHABLE` when it may have one in a container that could
   *   not be asked.
   */
  async release(taskId: string, signal: AbortSignal = new AbortController().signal): Promise<void> {
    this.#checkOpen()
    checkTaskId(taskId)
    const held = this.#slots.get(taskId)
    if (held) return held.release()
    const context = { config: this.config, containers: this.#containers, roster: this.#roster }
    const found = await byRoster(context, taskId, signal, (way) => way.locate())
    if (!found) {
      throw new SlotpoolError('TASK_NOT_FOUND', `task ${taskId} has no slot in pool ${this.config.pool}`, { details: { taskId } })
    }
    await releaseLease(found.at.client, found.lease.leaseId, this.#clock, signal)
    this.#forget(found)
  }

  /**
   * Releases every slot of the pool, whoever has it, and resolves with how many those were.
   *
   * @throws {SlotpoolError} `SERVER_UNREACHABLE` when a container that serves could not be asked, once all others were: `details` has how many were
   *   `released`, and the ids of the `silentContainers`.
   */
  async releaseAll(signal: AbortSignal = new AbortController().signal): Promise<number> {
    this.#checkOpen()
    const { released, silent } = await releaseEvery(await this.#containers.look(signal), this.#clock, signal)
    for (const slot of this.#slots.values()) {
      if (silent.some((one) => one.id === slot.containerId)) continue
      slot.stopHeartbeat()
      this.#letGo(slot)
    }
    const [first, ...others] = silent
    if (first) throw notAllReleased(released, [first, ...others])
    return released
  }

  /** What the pool has and who uses it. */
  async status(signal?: AbortSignal): Promise<PoolStatus> {
    this.#checkOpen()
    const [{ all, ready }, shape] = await Promise.all([this.#containers.look(signal), this.#backend.shape(signal)])
    const { image = null, toolsImage = null } = shape ?? {}
    const changedByHand = all.length === 0 ? [] : await this.#change.byHand(signal)
    const of = { pool: this.config.pool, backend: this.#backend.name, image, tools_image: image && toolsImage }
    return poolStatus(of, all, ready, changedByHand, signal)
  }

  /**
   * Looks after the containers once, now, as happens by itself every few seconds for as long as the pool is open: what is not needed is drained and
   * removed, what is worn out or gives no answer is replaced. Never rejects: what could not be done is tried again at the next look.
   */
  async tend(): Promise<void> {
    this.#checkOpen()
    await this.#scaler.look()
  }

  /** What this process did with the pool since it opened it. */
  metrics(): PoolMetrics {
    return this.#counters.snapshot({ held: this.#slots.size, waiting: this.#line.length })
  }

  /** Resolves when the pool has its `min` live containers. @throws {SlotpoolError} the backend's own errors; `CANCELLED`. */
  async fill(signal: AbortSignal = new AbortController().signal): Promise<void> {
    this.#checkOpen()
    for (;;) {
      const { all } = await this.#containers.look(signal)
      if (all.filter((one) => one.state !== 'dead').length >= this.config.min && this.#growth.target === undefined) return
      await turnOrAbort(
        this.#growth.begin(() => this.config.min),
        signal,
      )
    }
  }

  /**
   * Looks after a pool that is being changed until no container of an earlier version is left; at once where there is none. A lease keeps its
   * container for as long as it is held. Whoever gives up leaves the pool with both versions, and the next who uses it goes on.
   *
   * @param options.onProgress called with what the pool has, first and after each change of it.
   * @throws {SlotpoolError} why the pool could not grow, where that will not pass by itself; `POOL_CONFIG_MISMATCH` when another process changed
   *   the pool further meanwhile; `CANCELLED`.
   */
  async finishChange(options: { signal?: AbortSignal; onProgress?: (status: PoolStatus) => void } = {}): Promise<void> {
    this.#checkOpen()
    await this.#change.finish((signal) => this.status(signal), options)
  }

  /** Ends the pool for everybody: containers, leases, volumes, token. Resolves when nothing of it is left. */
  async down(signal?: AbortSignal): Promise<void> {
    this.#checkOpen()
    await this.#scaler.close()
    await this.#growth.stop()
    // A server that is told to end would wait for commands that still run.
    const briefly = AbortSignal.timeout(releaseAllTimeoutMs)
    await this.releaseAll(signal ? AbortSignal.any([signal, briefly]) : briefly).catch(() => {})
    await this.#backend.destroy(signal)
    await this.#containers.closeAsRemoved()
    await this.close()
  }

  /** Lets go of the pool. It stays, and so do leases that were not released, for their lifetime. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    for (const slot of this.#slots.values()) slot.stopHeartbeat()
    await this.#watch.close()
    this.#lookOut.rest()
    await this.#scaler.close()
    await this.#growth.close()
    await this.#roster.close()
    await Promise.all(this.#behind)
    await this.#containers.close()
    await this.#backend.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #hold(placed: PlacedLease): Slot {
    const { at, lease } = placed
    this.#slots.get(lease.taskId)?.stopHeartbeat()
    const { timeoutMs, cwd, lifetimeMs } = this.config
    const slot = new Slot({
      lease,
      containerId: at.container.id,
      client: at.client,
      lifetimeMs,
      defaults: { timeoutMs, cwd },
      onRelease: (released) => this.#letGo(released),
      onReleased: () => {
        this.#counters.leasesReleased++
        if (this.#containers.has(at.container.id)) this.#vacancies.freed(at.container.id)
        this.#forget(placed)
      },
      onEnd: (result) => this.#counters.commands[result instanceof SlotpoolError ? result.failure : (result.failure?.kind ?? 'ok')]++,
      onLost: (lost) => {
        this.#counters.leasesLost++
        this.#letGo(lost)
      },
      onDisused: (disused) => this.#letGo(disused),
      clock: this.#clock,
    })
    this.#slots.set(lease.taskId, slot)
    return slot
  }

  /** What was done in the slot is worth more than that it could not be given back. */
  #noteUnreleased(taskId: string, error: unknown): void {
    if (!(error instanceof SlotpoolError)) throw error
    const seconds = this.config.lifetimeMs / 1_000
    this.#onNotice(`slotpool: the slot of task ${taskId} could not be given back: ${error.message}; its lease ends within ${seconds} s`)
  }

  #letGo(slot: Slot): void {
    if (this.#slots.get(slot.taskId) === slot) this.#slots.delete(slot.taskId)
  }

  /** Whoever waits is told why there is nothing more to have, once for each reason. */
  #noteGrowth(failure: SlotpoolError | undefined): void {
    if (failure) this.#counters.growthsFailed++
    else this.#counters.grown++
    const notice = failure ? `slotpool: pool ${this.config.pool} could not grow: ${failure.message}` : ''
    if (notice !== '' && notice !== this.#lastNotice && this.#line.length > 0) {
      this.#onNotice(`${notice}; ${this.#line.length} wait for a slot`)
    }
    this.#lastNotice = notice
  }

  /** It is tried again at each look, and said once. */
  #noteStuck(notice: string): void {
    if (notice !== this.#lastStuck) this.#onNotice(notice)
    this.#lastStuck = notice
  }

  /** Tells the home of a task that its lease elsewhere has ended. Who does not learn of it finds out. */
  #forget({ notedAt, lease }: PlacedLease): void {
    const told = notedAt?.forgetWhereabouts(lease.taskId, lease.leaseId, AbortSignal.timeout(forgetTimeoutMs))
    if (told) this.#doBehind(told.catch(() => {}))
  }

  #doBehind(work: Promise<void>): void {
    this.#behind.add(work)
    void work.finally(() => this.#behind.delete(work))
  }

  #placed(taskId: string, metadata: LeaseMetadata, signal: AbortSignal, deadline: AbortSignal): Promise<PlacedLease> {
    return this.#attempts.one(taskId, signal, deadline, ({ onWait, later }) => {
      const context = {
        config: this.config,
        backend: this.#backend,
        containers: this.#containers,
        roster: this.#roster,
        line: this.#line,
        growth: this.#growth,
        scaler: this.#scaler,
        metadata,
        vacancies: this.#vacancies,
        lookOut: this.#lookOut,
        onWait,
        later: (work: Promise<void>) => {
          later(work)
          this.#doBehind(work)
        },
      }
      return leaseTask(context, taskId, signal, deadline)
    })
  }

  async #leaseInTime(taskId: string, options: LeaseOptions): Promise<PlacedLease> {
    const waitMs = options.waitMs ?? this.config.timeoutMs
    checkWaitMs(waitMs)
    const metadata = checkMetadata(options.metadata ?? {})
    const deadline = new AbortController()
    const stop = this.#clock.after(waitMs, () => deadline.abort(), true)
    try {
      return await this.#placed(taskId, metadata, options.signal ?? new AbortController().signal, deadline.signal)
    } catch (error) {
      if (!(error instanceof SlotpoolError) || error.code !== 'CANCELLED' || options.signal?.aborted) throw error
      if (this.#closed) throw this.#closedError(error)
      if (!deadline.signal.aborted) throw error
      // It is told for a person to read: an engine that does not answer must not stand in its way.
      const status = await this.status(AbortSignal.timeout(statusTimeoutMs)).catch(() => undefined)
      throw poolFull(waitMs, status, { max: this.config.max, waiting: this.#line.length, growth: this.#growth, cause: error })
    } finally {
      stop()
    }
  }

  /** Waits for the first container only: one that starts slowly, or no longer answers, keeps nobody from the others. */
  async #firstContainer(signal: AbortSignal = new AbortController().signal): Promise<void> {
    const { min } = this.config
    const { all, ready } = await this.#containers.look(signal)
    const enough = all.filter((one) => one.state !== 'dead').length >= min
    if (min === 0 || (enough && ready.length > 0)) return
    const growing = this.#growth.begin(() => min)
    if (ready.length === 0) await turnOrAbort(growing, signal)
  }

  #checkOpen(): void {
    if (this.#closed) throw this.#closedError()
  }

  #closedError(cause?: SlotpoolError): SlotpoolError {
    return new SlotpoolError('POOL_CLOSED', `pool ${this.config.pool} was closed in this process; open it again`, { cause })
  }
}

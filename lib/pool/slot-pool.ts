import type { Backend } from '../backend/backend.ts'
import { type Notice, openBackend } from '../backend/open-backend.ts'
import { type Config, loadConfig, type SlotPoolOptions } from '../config.ts'
import { SlotpoolError } from '../errors.ts'
import { taskId as taskIdSchema } from '../wire/lease.ts'
import { Containers } from './containers.ts'
import { Growth } from './growth.ts'
import type { PlacedLease } from './lease-by-roster.ts'
import { byRoster, leaseTask } from './lease-task.ts'
import { PoolRoster } from './pool-roster.ts'
import { type PoolStatus, poolStatus } from './pool-status.ts'
import { shapeDifference } from './shape-difference.ts'
import { Slot } from './slot.ts'
import { TaskHolders } from './task-holders.ts'
import { turnOrAbort, WaitingLine } from './waiting-line.ts'

const forgetTimeoutMs = 1_000

/** How {@link SlotPool.open} goes about it. */
export interface OpenOptions extends SlotPoolOptions {
  /** Use this backend, such as a `FakeBackend`, instead of the one that `env` names. */
  backend?: Backend
  /** Gives up opening. */
  signal?: AbortSignal
  /** Takes lines meant for a person. Default: they go to stderr. */
  onNotice?: Notice
}

/** How a slot is asked for. */
export interface LeaseOptions {
  /** How long to wait for a slot where all are leased; 0: not at all. Default: `TERMINAL_TIMEOUT`. */
  waitMs?: number
  /** Renew the lease for as long as this process lives and holds it. Default: true. */
  heartbeat?: boolean
  /** Gives up waiting. */
  signal?: AbortSignal
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
  readonly #line = new WaitingLine()
  readonly #growth: Growth
  readonly #slots = new Map<string, Slot>()
  readonly #holders = new TaskHolders()
  /** Leases being had, by task: callers in this process share them. */
  readonly #leasing = new Map<string, Promise<unknown>>()
  /** What goes on behind a call: leases being given back whose askers gave up, notes of leases that ended. */
  readonly #behind = new Set<Promise<void>>()
  #closed = false

  private constructor(config: Config, backend: Backend) {
    this.config = config
    this.#backend = backend
    this.#containers = new Containers(backend)
    this.#roster = new PoolRoster(this.#containers)
    this.#growth = new Growth(async (count, signal) => this.#roster.covers(await this.#containers.grow(count, signal)))
  }

  /**
   * Opens the pool and makes it have its `min` containers. Where one serves already, the others start behind the return: see {@link fill}.
   *
   * @throws {SlotpoolError} `CONFIG_*` for bad options or variables; `MOUNT_INVALID`; `POOL_CONFIG_MISMATCH` when the pool runs with
   *   something else than was asked for; the backend's own errors.
   */
  static async open(options: OpenOptions = {}): Promise<SlotPool> {
    const pool = await SlotPool.attach(options)
    try {
      await pool.#checkShape(options.signal)
      await pool.#firstContainer(options.signal)
      return pool
    } catch (error) {
      await pool.close()
      throw error
    }
  }

  /** The pool as it is: makes no container and checks nothing. For status, releasing and taking down. */
  static async attach(options: OpenOptions = {}): Promise<SlotPool> {
    const { backend, signal, onNotice = (line) => process.stderr.write(`${line}\n`), ...rest } = options
    const config = loadConfig(rest)
    return new SlotPool(config, backend ?? (await openBackend(config, onNotice, signal)))
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
    const placed = await this.#leaseInTime(taskId, options)
    const held = this.#slots.get(taskId)
    const slot = held?.leaseId === placed.lease.leaseId ? held : this.#hold(placed)
    if (options.heartbeat ?? true) slot.startHeartbeat()
    return slot
  }

  /**
   * Leases the slot of a task for as long as `work` takes, and releases it whether `work` returns, throws or is aborted. Where several in
   * this process do so for one task at once, the last to end releases it.
   */
  async withSlot<T>(taskId: string, work: (slot: Slot) => Promise<T> | T, options: LeaseOptions = {}): Promise<T> {
    this.#checkOpen()
    checkTaskId(taskId)
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
      signal?.addEventListener('abort', onAbort, { once: true })
      result = await work(slot)
    } catch (error) {
      // What the work threw is what its caller has to know; a slot that cannot be released, for its container is gone, is not.
      await leave().catch(() => {})
      throw error
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
    await leave()
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
    const context = { config: this.config, roster: this.#roster }
    const found = await byRoster(context, taskId, signal, (way) => way.locate())
    if (!found) {
      throw new SlotpoolError('TASK_NOT_FOUND', `task ${taskId} has no slot in pool ${this.config.pool}`, { details: { taskId } })
    }
    await found.at.client.release(found.lease.leaseId, signal)
    this.#forget(found)
  }

  /** Releases every slot of the pool, whoever has it, and resolves with how many those were. */
  async releaseAll(): Promise<number> {
    this.#checkOpen()
    const { ready } = await this.#containers.look()
    const counts = await Promise.all(
      ready.map(async ({ client }) => {
        const leases = (await client.status()).slots.flatMap(({ lease }) => (lease ? [lease] : []))
        await Promise.all(leases.map((lease) => client.release(lease.leaseId)))
        return leases.length
      }),
    )
    for (const slot of this.#slots.values()) slot.stopHeartbeat()
    this.#slots.clear()
    return counts.reduce((sum, count) => sum + count, 0)
  }

  /** What the pool has and who uses it. */
  async status(signal?: AbortSignal): Promise<PoolStatus> {
    this.#checkOpen()
    const { all, ready } = await this.#containers.look(signal)
    return poolStatus(this.config.pool, this.#backend.name, all, ready, signal)
  }

  /** Resolves when the pool has its `min` live containers. @throws {SlotpoolError} the backend's own errors; `CANCELLED`. */
  async fill(signal: AbortSignal = new AbortController().signal): Promise<void> {
    this.#checkOpen()
    for (;;) {
      const { all } = await this.#containers.look(signal)
      if (all.filter((one) => one.state !== 'dead').length >= this.config.min && this.#growth.target === undefined) return
      await turnOrAbort(this.#growth.begin(this.config.min), signal)
    }
  }

  /** Ends the pool for everybody: containers, leases, volumes, token. Resolves when nothing of it is left. */
  async down(signal?: AbortSignal): Promise<void> {
    this.#checkOpen()
    await this.#growth.stop()
    await this.#backend.destroy(signal)
    await this.close()
  }

  /** Lets go of the pool. It stays, and so do leases that were not released, for their lifetime. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    for (const slot of this.#slots.values()) slot.stopHeartbeat()
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
      onRelease: (released) => {
        if (this.#slots.get(released.taskId) === released) this.#slots.delete(released.taskId)
      },
      onReleased: () => this.#forget(placed),
    })
    this.#slots.set(lease.taskId, slot)
    return slot
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

  /** One attempt at a time for a task; a caller that gives up leaves the attempt to the others. */
  async #placed(taskId: string, signal: AbortSignal, deadline: AbortSignal): Promise<PlacedLease> {
    for (;;) {
      const underWay = this.#leasing.get(taskId)
      if (!underWay) break
      await turnOrAbort(
        underWay.then(
          () => {},
          () => {},
        ),
        AbortSignal.any([signal, deadline]),
      )
    }
    const own: Promise<void>[] = []
    const later = (work: Promise<void>): void => {
      own.push(work)
      this.#doBehind(work)
    }
    const context = {
      config: this.config,
      backend: this.#backend,
      containers: this.#containers,
      roster: this.#roster,
      line: this.#line,
      growth: this.#growth,
      later,
    }
    const leasing = leaseTask(context, taskId, signal, deadline)
    const over = leasing
      .catch(() => {})
      .then(() => Promise.all(own))
      .finally(() => this.#leasing.delete(taskId))
    this.#leasing.set(taskId, over)
    return leasing
  }

  async #leaseInTime(taskId: string, options: LeaseOptions): Promise<PlacedLease> {
    const waitMs = options.waitMs ?? this.config.timeoutMs
    checkWaitMs(waitMs)
    const deadline = new AbortController()
    const timer = setTimeout(() => deadline.abort(), waitMs)
    try {
      return await this.#placed(taskId, options.signal ?? new AbortController().signal, deadline.signal)
    } catch (error) {
      if (deadline.signal.aborted && error instanceof SlotpoolError && error.code === 'CANCELLED') throw await this.#full(waitMs, error)
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  async #full(waitMs: number, cause: SlotpoolError): Promise<SlotpoolError> {
    const { totals, containers } = await this.status(AbortSignal.timeout(5_000))
    const waiting = this.#line.length
    const live = containers.filter((one) => one.state !== 'dead').length
    const growingTo = this.#growth.target
    const growing = growingTo === undefined ? '' : `, and the pool is growing to ${growingTo} containers`
    return new SlotpoolError(
      'POOL_FULL',
      `no slot came free within ${waitMs} ms: ${totals.leased} of ${totals.slots} slots are leased in ${live} of at most ${this.config.max} ` +
        `containers, ${waiting} more wait in this process${growing}; release slots, wait longer, or raise TERMINAL_NOMAD_MAX`,
      { cause, details: { ...totals, max: this.config.max, waiting, ...(growingTo === undefined ? {} : { growingTo }) } },
    )
  }

  /** Waits for the first container only: one that starts slowly, or no longer answers, keeps nobody from the others. */
  async #firstContainer(signal: AbortSignal = new AbortController().signal): Promise<void> {
    const { min } = this.config
    const { all, ready } = await this.#containers.look(signal)
    const enough = all.filter((one) => one.state !== 'dead').length >= min
    if (min === 0 || (enough && ready.length > 0)) return
    const growing = this.#growth.begin(min)
    if (ready.length === 0) await turnOrAbort(growing, signal)
  }

  /** Only what somebody asked for can differ: a caller that names nothing takes the pool as it is. */
  async #checkShape(signal: AbortSignal | undefined): Promise<void> {
    await this.#backend.check?.(this.config)
    const shape = await this.#backend.shape(signal)
    const difference = shape && shapeDifference(this.config, shape)
    if (!difference) return
    const { option, running, got } = difference
    throw new SlotpoolError(
      'POOL_CONFIG_MISMATCH',
      `pool ${this.config.pool} runs with ${option} ${running}, got ${got}; run \`slotpool down\` first, or use another TERMINAL_POOL`,
      { details: { option, running, got } },
    )
  }

  #checkOpen(): void {
    if (this.#closed) throw new SlotpoolError('POOL_CLOSED', `pool ${this.config.pool} was closed in this process; open it again`)
  }
}

function checkWaitMs(waitMs: number): void {
  if (Number.isSafeInteger(waitMs) && waitMs >= 0 && waitMs <= 2_147_483_000) return
  throw new SlotpoolError('CONFIG_INVALID', `option waitMs: got ${waitMs}, expected a whole number from 0 to 2147483000`, {
    details: { variable: 'waitMs', got: waitMs },
  })
}

function checkTaskId(taskId: string): void {
  const result = taskIdSchema.safeParse(taskId)
  if (result.success) return
  throw new SlotpoolError('REQUEST_INVALID', `task id: got ${JSON.stringify(taskId)}, ${result.error.issues[0]?.message}`, {
    details: { taskId },
  })
}

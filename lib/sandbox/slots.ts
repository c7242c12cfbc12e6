import { EventEmitter, once } from 'node:events'
import { join } from 'node:path'
import { createPool, type Pool } from 'generic-pool'
import type { Logger } from 'pino'
import { SlotpoolError } from '../errors.ts'
import { type LimitsInForce, noLimits } from '../wire/limits.ts'
import type { SlotState } from '../wire/status.ts'
import type { FirstJail } from './jail/choose.ts'
import type { Jail, JailKind } from './jail/jail.ts'
import type { ControlGroups } from './limits/control-groups.ts'
import { DiskWatch } from './limits/disk-watch.ts'
import { MakingTurns } from './making-turns.ts'
import { SlotBounds } from './slot-bounds.ts'

/** A slot made ready for one lease: its number, and the jail and folders that only this lease will ever see. */
export interface Slot {
  number: number
  jail: Jail
  bounds: SlotBounds
}

/** How long a new lease waits for a slot that is being made ready; it normally takes hundredths of a second. */
const preparingPatienceMs = 10_000

/** A number to make a slot of, and the jail that had it before, which may not have come to its end. */
type Vacancy = { number: number; before: Jail | undefined }

type Stocked = { number: number; root: string; over: boolean } & ({ slot: Slot } | { failure: unknown; before: Jail | undefined })

/**
 * The slots of this container. Their jails are made ahead of time, each is used for one lease, and a slot that comes back is made anew:
 * no tenant ever meets what another left.
 */
export class Slots {
  readonly count: number
  readonly #kind: JailKind
  readonly #folder: string
  readonly #limits: LimitsInForce
  readonly #groups: ControlGroups | null
  readonly #onMade: ((slot: Slot) => void) | undefined
  readonly #log: Logger
  readonly #pool: Pool<Stocked>
  readonly #states: SlotState[]
  /** Numbers that no jail has any more. A slot that is being given back still has its own: its processes may yet live under its uid. */
  readonly #free: Vacancy[]
  #taking = 0
  readonly #stocked = new WeakMap<Slot, Stocked>()
  #first: FirstJail | undefined
  readonly #turns = new MakingTurns()
  #closing = false
  readonly #changes = new EventEmitter<{ idle: []; prepared: [] }>().setMaxListeners(0)
  #prepared = 0
  #generation = 0

  constructor(options: {
    count: number
    kind: JailKind
    folder: string
    /** The limits that hold for each slot. Default: none. */
    limits?: LimitsInForce
    /** The server's control groups. Default: there are none. */
    groups?: ControlGroups | null
    /** Called with each slot that was made, before anybody has it. */
    onMade?: (slot: Slot) => void
    /** A jail of this kind that slot 0 has first; it is ended and wiped as those that are made here. Default: slot 0 is made, as all others. */
    first?: FirstJail | undefined
    log: Logger
  }) {
    this.count = options.count
    this.#kind = options.kind
    this.#folder = options.folder
    this.#limits = options.limits ?? noLimits
    this.#groups = options.groups ?? null
    this.#onMade = options.onMade
    this.#first = options.first
    this.#log = options.log
    this.#states = new Array<SlotState>(options.count).fill('wiping')
    this.#free = [...this.#states.keys()].map((number) => ({ number, before: undefined }))
    this.#pool = createPool<Stocked>(
      { create: () => this.#prepare(), destroy: (one) => this.#discard(one), validate: async (one) => this.#usable(one) },
      // Every slot is always either leased or being kept ready.
      {
        min: options.count,
        max: options.count,
        fifo: true,
        testOnBorrow: true,
        acquireTimeoutMillis: preparingPatienceMs,
        autostart: false,
      },
    )
    this.#pool.on('factoryDestroyError', (error) => this.#log.error({ err: error }, 'a slot could not be wiped'))
  }

  /** Makes all slots ready; resolves when each has been, leased since or not, or could not be. */
  async start(): Promise<void> {
    this.#pool.start()
    while (this.#prepared < this.count) await once(this.#changes, 'prepared')
  }

  state(number: number): SlotState {
    return this.#states[number] as SlotState
  }

  get idle(): number {
    return this.#states.filter((state) => state === 'idle').length
  }

  /**
   * Takes a slot that is ready, or soon will be.
   *
   * @throws {SlotpoolError} `SLOT_UNAVAILABLE` when all are leased; `JAIL_FAILED` when none of the others could be made.
   */
  async take(): Promise<Slot> {
    // Those who are about to have one count, too: nobody waits for a slot that is already promised.
    if (this.#taking >= this.#states.filter((state) => state !== 'leased').length) throw this.#full()
    this.#taking++
    const stocked = await this.#takeUsable().finally(() => this.#taking--)
    this.#states[stocked.number] = 'leased'
    const { slot } = stocked
    this.#stocked.set(slot, stocked)
    return slot
  }

  /** One that failed is made anew behind this, and another taken. When as many have failed as there are to be had, that is the answer. */
  async #takeUsable(): Promise<Extract<Stocked, { slot: Slot }>> {
    for (let failures = 1; ; failures++) {
      const stocked = await this.#pool.acquire().catch((cause) => {
        throw this.#full(cause)
      })
      if ('slot' in stocked) return stocked
      const available = this.#states.filter((state) => state !== 'leased').length
      await this.#pool.destroy(stocked)
      if (failures >= available) throw SlotpoolError.from(stocked.failure)
    }
  }

  /** Ends every process of the slot; resolves when none is left. What else it had goes, and the slot is made anew, behind that. */
  async giveBack(slot: Slot): Promise<void> {
    const stocked = this.#stocked.get(slot) as Stocked
    this.#stocked.delete(slot)
    this.#states[slot.number] = 'wiping'
    const ending = endWhole(slot).finally(() => {
      this.#pool.destroy(stocked).catch((error) => this.#log.error({ err: error, slot: slot.number }, 'a slot could not be given back'))
    })
    // A jail that says by itself that it has ended has no process any more. Its network takes ten times as long to go.
    const first = await Promise.race([slot.jail.ended.then(() => 'jail'), ending])
    if (first === 'jail') ending.catch((error) => this.#log.error({ err: error, slot: slot.number }, 'a slot did not end as a whole'))
  }

  /** Resolves as soon as a slot is idle, at the latest after `waitMs`, with how many are. */
  async whenIdle(waitMs: number, signal?: AbortSignal): Promise<number> {
    if (this.idle === 0 && waitMs > 0) {
      const timeout = AbortSignal.timeout(waitMs)
      await once(this.#changes, 'idle', { signal: signal ? AbortSignal.any([signal, timeout]) : timeout }).catch(() => {})
    }
    return this.idle
  }

  /** Ends and wipes all slots. No slot may be leased any more. */
  async close(): Promise<void> {
    this.#closing = true
    await this.#pool.drain()
    await this.#pool.clear()
  }

  #full(cause?: unknown): SlotpoolError {
    return new SlotpoolError('SLOT_UNAVAILABLE', `all ${this.count} slots of this container are leased`, {
      details: { slots: this.count },
      ...(cause === undefined ? {} : { cause }),
    })
  }

  /** Never rejects: generic-pool would try again at once, for ever, and keep the reason to itself. */
  async #prepare(): Promise<Stocked> {
    // The pool makes one for each that it let go, so there is one.
    const { number, before } = this.#free.shift() as Vacancy
    this.#states[number] = 'preparing'
    const first = number === 0 ? this.#first : undefined
    if (first) this.#first = undefined
    const root = first?.root ?? join(this.#folder, `${number}-${this.#generation++}`)
    let alive = before
    try {
      // Where the jail before it could not be ended, its processes must be gone now: they may have the very uid of the next tenant.
      await before?.end()
      alive = undefined
      const slot = await this.#turns.inTurn(() => this.#make(number, root, first?.jail))
      this.#states[number] = 'idle'
      this.#changes.emit('idle')
      const stocked: Stocked = { number, root, over: false, slot }
      void slot.jail.ended.then(() => {
        stocked.over = true
      })
      return stocked
    } catch (failure) {
      if (!this.#closing) this.#log.error({ err: failure, slot: number }, 'a slot could not be made ready')
      this.#states[number] = 'failed'
      return { number, root, over: true, failure, before: alive }
    } finally {
      this.#prepared++
      this.#changes.emit('prepared')
    }
  }

  async #make(number: number, root: string, made?: Jail): Promise<Slot> {
    if (this.#closing && !made) throw new SlotpoolError('SLOT_UNAVAILABLE', 'the sandbox server is being shut down')
    const jail = made ?? (await this.#kind.make(number, root))
    const bounds = await this.#bounds(number, root, jail).catch(async (error) => {
      await jail.end()
      throw error
    })
    const slot = { number, jail, bounds }
    this.#onMade?.(slot)
    return slot
  }

  async #bounds(number: number, root: string, jail: Jail): Promise<SlotBounds> {
    const counted = (name: 'memoryBytes' | 'processes' | 'cpuWeight'): number | null => {
      const limit = this.#limits[name]
      return limit?.by === 'cgroup' ? limit.value : null
    }
    const limits = { memoryBytes: counted('memoryBytes'), processes: counted('processes'), cpuWeight: counted('cpuWeight') }
    const maxBytes = this.#limits.diskBytes?.value
    const disk = maxBytes === undefined ? null : new DiskWatch({ folders: [root], maxBytes, holders: () => jail.processes() })
    return new SlotBounds({ limits: this.#limits, group: (await this.#groups?.slot(number, limits)) ?? null, disk })
  }

  async #discard(stocked: Stocked): Promise<void> {
    // At once, since the pool makes the next slot without waiting for this; its jail has ended, unless all are being closed.
    this.#states[stocked.number] = 'wiping'
    this.#free.push({ number: stocked.number, before: 'slot' in stocked ? stocked.slot.jail : stocked.before })
    if ('slot' in stocked) await endWhole(stocked.slot)
    await this.#kind.wipe(stocked.root)
  }

  /** A ready jail that ended by itself, for want of memory perhaps, is replaced before anybody gets it. */
  async #usable(stocked: Stocked): Promise<boolean> {
    return 'failure' in stocked || !stocked.over
  }
}

/** Ends a jail with all that it had, and its control groups. */
async function endWhole({ jail, bounds }: Pick<Slot, 'jail' | 'bounds'>): Promise<void> {
  await jail.end()
  await bounds.end()
}

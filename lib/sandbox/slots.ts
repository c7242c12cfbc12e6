import { EventEmitter, once, setMaxListeners } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { createPool, type Pool } from 'generic-pool'
import type { Logger } from 'pino'
import { SlotpoolError } from '../errors.ts'
import { type Clock, systemClock } from './clock.ts'
import type { FirstJail } from './jail/choose.ts'
import { type Slot, SlotMaker, type SlotMakerOptions } from './slot-maker.ts'
import { SlotPlace } from './slot-place.ts'
import { type Gone, type Ready, SlotRenewal } from './slot-renewal.ts'

export type { Slot } from './slot-maker.ts'

/** How long a new lease waits for a slot that is being made ready; it normally takes hundredths of a second. */
const preparingPatienceMs = 10_000

/** How much later than its health check a jail may be seen to have ended. */
const jailEndMs = 100

/** A slot that is ready; or what stands for a number that is out of service, and keeps the stock from having another made for it. */
type Stocked = Ready | Gone

export interface SlotsOptions extends SlotMakerOptions {
  count: number
  /** A number of which so many slots were given out is spent. Default: none ever is. */
  maxReuses?: number | undefined
  /** A jail of this kind that slot 0 has first; it is ended and wiped as those that are made here. Default: slot 0 is made, as all others. */
  first?: FirstJail | undefined
  log: Logger
  clock?: Clock
}

/**
 * The slots of this container. Their jails are made ahead of time, each is used for one lease, and a slot that comes back is made anew:
 * no tenant ever meets what another left. A number of which that can no longer be said is out of service, and the others go on.
 */
export class Slots {
  readonly count: number
  readonly #renewal: SlotRenewal
  readonly #log: Logger
  readonly #stock: Pool<Stocked>
  readonly #places: readonly SlotPlace[]
  /** Numbers to make a slot of, each with the one that had it before. */
  readonly #vacant: { place: SlotPlace; before: Ready | undefined }[]
  #taking = 0
  #given = 0
  readonly #leased = new WeakMap<Slot, Ready>()
  /** What was taken out of the stock that stands for a number out of service. */
  readonly #gone = new Set<Gone>()
  readonly #closing = new AbortController()
  readonly #changes = new EventEmitter<{ change: [] }>().setMaxListeners(0)

  constructor(options: SlotsOptions) {
    this.count = options.count
    this.#log = options.log
    // Each number may wait for it.
    setMaxListeners(0, this.#closing.signal)
    this.#renewal = new SlotRenewal({
      maker: new SlotMaker(options),
      maxReuses: options.maxReuses ?? Number.POSITIVE_INFINITY,
      first: options.first,
      clock: options.clock ?? systemClock,
      log: options.log,
      closing: this.#closing.signal,
      onChange: () => this.#changes.emit('change'),
    })
    this.#places = Array.from({ length: options.count }, (_, number) => new SlotPlace(number))
    this.#vacant = this.#places.map((place) => ({ place, before: undefined }))
    this.#stock = createPool<Stocked>(
      { create: () => this.#makeNext(), destroy: (one) => this.#letGo(one), validate: (one) => this.#isFit(one) },
      // Every slot is always leased, being kept ready, or out of service.
      {
        min: options.count,
        max: options.count,
        fifo: true,
        testOnBorrow: true,
        acquireTimeoutMillis: preparingPatienceMs,
        autostart: false,
      },
    )
  }

  /** Makes all slots ready; resolves when each has been, leased since or not, or could not be at the first attempt. */
  async start(): Promise<void> {
    this.#stock.start()
    while (this.#places.some(({ tried }) => !tried)) await once(this.#changes, 'change')
  }

  /** What is known of a number's slots. */
  place(number: number): Pick<SlotPlace, 'state' | 'reason' | 'uses'> {
    return this.#places[number] as SlotPlace
  }

  get idle(): number {
    return this.#places.filter(({ state }) => state === 'idle').length
  }

  /** Slots that somebody has, or is about to have. */
  get inUse(): number {
    return this.#given + this.#taking
  }

  /** Slots that nobody gets any more. */
  get outOfService(): number {
    return this.#places.filter(({ inService }) => !inService).length
  }

  /**
   * Takes a slot that is ready, or soon will be.
   *
   * @throws {SlotpoolError} `SLOT_UNAVAILABLE` when all are leased or out of service; `JAIL_FAILED` when it waited for the last that might have
   *   been made.
   */
  async take(): Promise<Slot> {
    // Those who are about to have one count, too: nobody waits for a slot that is already promised.
    if (this.#taking >= this.#available) throw this.#full()
    this.#taking++
    try {
      const ready = await this.#takeReady()
      const { place, slot } = ready
      this.#given++
      place.become('leased')
      place.uses++
      place.failures = 0
      this.#leased.set(slot, ready)
      return slot
    } finally {
      // In one step with the slot's being leased: in between it would seem to be to be had.
      this.#taking--
    }
  }

  /** Ends every process of the slot; resolves when none is left. What else it had goes, and the slot is made anew, behind that. */
  async giveBack(slot: Slot): Promise<void> {
    const ready = this.#leased.get(slot) as Ready
    this.#leased.delete(slot)
    this.#given--
    ready.place.become('wiping')
    const ending = this.#renewal.end(ready)
    const giveUp = (): void => {
      this.#stock.destroy(ready).catch((error) => this.#log.error({ err: error, slot: slot.number }, 'a slot could not be given back'))
    }
    ending.then(giveUp, giveUp)
    // A jail that says by itself that it has ended has no process any more. Its network takes ten times as long to go.
    await Promise.race([slot.jail.ended, ending])
  }

  /** Resolves as soon as a slot is idle, at the latest after `waitMs`, with how many are. */
  async whenIdle(waitMs: number, signal?: AbortSignal): Promise<number> {
    if (this.idle > 0 || waitMs <= 0) return this.idle
    const timeout = AbortSignal.timeout(waitMs)
    const either = signal ? AbortSignal.any([signal, timeout]) : timeout
    while (this.idle === 0 && !either.aborted) await once(this.#changes, 'change', { signal: either }).catch(() => {})
    return this.idle
  }

  /** Ends and wipes all slots. No slot may be leased any more. */
  async close(): Promise<void> {
    this.#closing.abort()
    const drained = this.#stock.drain()
    for (const gone of this.#gone) await this.#stock.destroy(gone)
    await drained
    await this.#stock.clear()
    await this.#renewal.clearRemains()
  }

  /** How many are not leased and will be ready some time. */
  get #available(): number {
    return this.#places.filter(({ state, inService }) => inService && state !== 'leased').length
  }

  async #takeReady(): Promise<Ready> {
    for (;;) {
      const stocked = await this.#stock.acquire().catch((cause) => {
        throw this.#full(cause)
      })
      if ('slot' in stocked) return stocked
      const closing = this.#closing.signal.aborted
      // Never given back, it keeps its room in the stock.
      if (!closing) this.#gone.add(stocked)
      else await this.#stock.destroy(stocked)
      if (closing || this.#taking > this.#available) throw stocked.failure === null ? this.#full() : SlotpoolError.from(stocked.failure)
    }
  }

  #full(cause?: unknown): SlotpoolError {
    const reasons = this.#places.flatMap(({ number, reason }) => (reason === null ? [] : [`slot ${number}: ${reason}`]))
    const others = reasons.length === 0 ? '' : ` or out of order (${reasons[0]}${reasons.length > 1 ? '; …' : ''})`
    return new SlotpoolError('SLOT_UNAVAILABLE', `all ${this.count} slots of this container are leased${others}`, {
      details: { slots: this.count, ...(reasons.length === 0 ? {} : { reasons }) },
      ...(cause === undefined ? {} : { cause }),
    })
  }

  /** The next slot of a number that has none. Never rejects: generic-pool would try again at once, for ever, and keep the reason to itself. */
  #makeNext(): Promise<Stocked> {
    // The stock makes one for each that it let go, so there is one.
    const { place, before } = this.#vacant.shift() as { place: SlotPlace; before: Ready | undefined }
    return this.#renewal.next(place, before)
  }

  /** Takes in what the stock lets go of: its number is made anew behind that. */
  async #letGo(stocked: Stocked): Promise<void> {
    if (!('slot' in stocked)) return
    if (this.#closing.signal.aborted) await this.#renewal.clearAway(stocked)
    else this.#vacant.push({ place: stocked.place, before: stocked })
  }

  /** Whether what is in the stock may be had. A slot that may not is made anew behind this, or taken out of service. */
  async #isFit(stocked: Stocked): Promise<boolean> {
    if (!('slot' in stocked)) return true
    const { slot, place } = stocked
    if (!stocked.over) {
      const fault = slot.jail.fault?.() ?? null
      if (fault === null) return true
      // One that has just ended, for want of memory perhaps, may say so a moment later: that passes.
      const ended = await Promise.race([slot.jail.ended.then(() => true), delay(jailEndMs, false)])
      if (!ended) stocked.fault = fault
    }
    place.failures++
    return false
  }
}

import type { Logger } from 'pino'
import { SlotpoolError } from '../errors.ts'
import type { Clock } from './clock.ts'
import type { FirstJail } from './jail/choose.ts'
import type { Jail } from './jail/jail.ts'
import { MakingTurns } from './making-turns.ts'
import { type Slot, type SlotMaker, StillAlive } from './slot-maker.ts'
import type { SlotPlace } from './slot-place.ts'

/** How long after each failure in a row a slot is tried to be made again: what passes has then passed. After one more it is quarantined. */
const pausesMs = [500, 4_000]

/** A slot that is ready, or was until its lease ended. */
export interface Ready {
  place: SlotPlace
  slot: Slot
  root: string
  /** Its jail has ended. */
  over: boolean
  /** How it broke its health check. */
  fault: string | null
  /** Once it is being ended. */
  ending: Promise<void> | undefined
}

/** A number that is out of service. */
export interface Gone {
  place: SlotPlace
  /** What kept a slot from being made, for whoever waited for it; null where it was something else. */
  failure: unknown
}

/** Brings the slots of each number from one lease to the next, or takes the number out of service. */
export class SlotRenewal {
  readonly #maker: SlotMaker
  readonly #maxReuses: number
  readonly #clock: Clock
  readonly #log: Logger
  readonly #closing: AbortSignal
  readonly #onChange: () => void
  readonly #turns = new MakingTurns()
  /** Slots that could not be ended, and folders that could not be wiped. */
  readonly #unended = new Set<Ready>()
  readonly #unwiped = new Set<string>()
  #first: FirstJail | undefined

  constructor(options: {
    maker: SlotMaker
    maxReuses: number
    first: FirstJail | undefined
    clock: Clock
    log: Logger
    /** Aborted when all slots are about to end: none is made any more. */
    closing: AbortSignal
    /** Called when a slot has become idle, or could not be made. */
    onChange: () => void
  }) {
    this.#maker = options.maker
    this.#maxReuses = options.maxReuses
    this.#first = options.first
    this.#clock = options.clock
    this.#log = options.log
    this.#closing = options.closing
    this.#onChange = options.onChange
  }

  /**
   * The next slot of a number, after the one that had it before. It is ready only when nothing of that one is left: no process, which may have
   * the very uid of the next tenant, and no file. Never rejects.
   */
  async next(place: SlotPlace, before: Ready | undefined): Promise<Ready | Gone> {
    if (!before) return this.#makeReady(place, Promise.resolve(null))
    place.become('wiping')
    const alive = await failureOf(this.end(before))
    if (alive !== null) {
      this.#unended.add(before)
      return this.#outOfService(place, notEnded(alive), alive)
    }
    const wiping = this.#wipe(before.root)
    if (before.fault !== null) {
      await wiping
      return this.#outOfService(place, `it broke its health check: ${before.fault}`)
    }
    if (place.failures > pausesMs.length) {
      await wiping
      return this.#outOfService(
        place,
        `its jail ended by itself before anybody had it, or could not be made, ${place.failures} times in a row`,
      )
    }
    if (place.uses < this.#maxReuses) return this.#makeReady(place, wiping)
    const left = await wiping
    if (left !== null) return this.#outOfService(place, notWiped(left))
    place.become('spent', `it was leased ${place.uses} times, as often as it may be`)
    return { place, failure: null }
  }

  /** Ends a slot, once. */
  end(ready: Ready): Promise<void> {
    ready.ending ??= this.#maker.end(ready.slot)
    return ready.ending
  }

  /** Ends and wipes a slot that nobody gets. What cannot be is said in the log, and tried once more at the end. */
  async clearAway(ready: Ready): Promise<void> {
    const alive = await failureOf(this.end(ready))
    const left = alive ?? (await this.#wipe(ready.root))
    if (alive !== null) this.#unended.add(ready)
    if (left !== null) this.#log.error({ err: left, slot: ready.place.number }, 'a slot could not be ended and wiped')
  }

  /** Tries once more to end and wipe what could not be. */
  async clearRemains(): Promise<void> {
    const [unended, unwiped] = [[...this.#unended], [...this.#unwiped]]
    for (const ready of unended) {
      ready.ending = undefined
      await this.clearAway(ready)
    }
    for (const root of unwiped) {
      const left = await this.#wipe(root)
      if (left !== null) this.#log.error({ err: left, folder: root }, 'what a slot left could not be wiped')
    }
  }

  /** Makes a slot, as often as that may fail. `wiping` is of what had its number before: null when that is done, else what failed. */
  async #makeReady(place: SlotPlace, wiping: Promise<unknown>): Promise<Ready | Gone> {
    let cleared = wiping
    for (;;) {
      const first = place.number === 0 ? this.#first : undefined
      if (first) this.#first = undefined
      const root = first?.root ?? this.#maker.newFolder(place.number)
      place.become('preparing')
      const made = await this.#make(place, root, first?.jail).catch((failure: unknown) => ({ failure }))
      const left = await cleared
      if ('slot' in made && left === null) {
        place.become('idle')
        this.#tried(place)
        return made
      }
      if ('slot' in made) {
        await this.clearAway(made)
        return this.#outOfService(place, notWiped(left))
      }
      const { failure } = made
      if (failure instanceof StillAlive) {
        // Not under its processes; they may have ended by the time at which all is.
        this.#unwiped.add(root)
        return this.#outOfService(place, notEnded(failure), failure)
      }
      cleared = this.#wipe(root)
      if (left !== null) {
        await cleared
        return this.#outOfService(place, notWiped(left))
      }
      place.failures++
      if (this.#closing.aborted || place.failures > pausesMs.length) {
        await cleared
        return this.#outOfService(
          place,
          `it could not be made ready ${place.failures} times in a row, at last: ${messageOf(failure)}`,
          failure,
        )
      }
      this.#log.error({ err: failure, slot: place.number }, 'a slot could not be made ready')
      place.become('failed', `it could not be made ready: ${messageOf(failure)}`)
      this.#tried(place)
      await this.#pause(pausesMs[place.failures - 1] as number)
      if (!this.#closing.aborted) continue
      await cleared
      return { place, failure }
    }
  }

  async #make(place: SlotPlace, root: string, made: Jail | undefined): Promise<Ready> {
    const slot = await this.#turns.inTurn(async () => {
      if (this.#closing.aborted && !made) throw new SlotpoolError('SLOT_UNAVAILABLE', 'the sandbox server is being shut down')
      return this.#maker.make(place.number, root, made)
    })
    const ready: Ready = { place, slot, root, over: false, fault: null, ending: undefined }
    void slot.jail.ended.then(() => {
      ready.over = true
    })
    return ready
  }

  /** Null when it was wiped, else what failed; it is tried once more at the end. */
  async #wipe(root: string): Promise<unknown> {
    this.#unwiped.add(root)
    const left = await failureOf(this.#maker.wipe(root))
    if (left === null) this.#unwiped.delete(root)
    return left
  }

  #outOfService(place: SlotPlace, reason: string, failure: unknown = null): Gone {
    if (!this.#closing.aborted) {
      this.#log.error({ err: failure ?? undefined, slot: place.number, reason }, 'a slot is quarantined')
      place.become('quarantined', reason)
    }
    this.#tried(place)
    return { place, failure }
  }

  #tried(place: SlotPlace): void {
    place.tried = true
    this.#onChange()
  }

  /** Until it is worth trying again, or all are about to end. */
  #pause(pauseMs: number): Promise<void> {
    return new Promise((resolve) => {
      const goOn = (): void => {
        stop()
        this.#closing.removeEventListener('abort', goOn)
        resolve()
      }
      const stop = this.#clock.after(pauseMs, goOn)
      this.#closing.addEventListener('abort', goOn)
    })
  }
}

function notEnded(failure: unknown): string {
  return `its processes could not be ended: ${messageOf(failure)}`
}

function notWiped(failure: unknown): string {
  return `what its last lease left could not be wiped: ${messageOf(failure)}`
}

function messageOf(failure: unknown): string {
  return failure instanceof Error ? failure.message : String(failure)
}

/** What a promise rejects with; null when it does not. */
async function failureOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work
    return null
  } catch (error) {
    return error
  }
}

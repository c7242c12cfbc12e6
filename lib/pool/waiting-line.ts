import { unlessAborted } from '../client/unless-aborted.ts'
import { SlotpoolError } from '../errors.ts'

/** When somebody came, among all who came. */
export type Ticket = number

/** What work resolves with that lets those before it go first, and wants another turn. */
export const letOthersFirst = Symbol('let others first')

interface Place {
  ticket: Ticket
  enter: () => void
}

/**
 * Lets one in at a time, first come, first served. Who came first is a matter of tickets, not of who gets in line first: between, each looks whether it
 * has to wait at all, and some looks take longer. Of more than `maxLength` none gets in line.
 */
export class WaitingLine {
  readonly #maxLength: number
  /** Those who wait, by their tickets. */
  readonly #places: Place[] = []
  #tickets = 0
  #occupied = false
  #length = 0

  constructor(maxLength = Number.POSITIVE_INFINITY) {
    this.#maxLength = maxLength
  }

  /** How many are in line, the one at its head included. */
  get length(): number {
    return this.#length
  }

  /** For one who comes now. */
  ticket(): Ticket {
    return this.#tickets++
  }

  /** Whether somebody is in line who came before the one with this ticket. */
  isOvertaking(ticket: Ticket): boolean {
    const [first] = this.#places
    return first !== undefined && first.ticket < ticket
  }

  /**
   * Runs `work` when all are done who came before and are in line, and again as long as it lets others go first. Who gives up while still in line
   * leaves it.
   *
   * @throws {SlotpoolError} `CANCELLED`; `POOL_FULL` when the line is as long as it may get.
   */
  async inTurn<T>(signal: AbortSignal, work: () => Promise<T | typeof letOthersFirst>, ticket = this.ticket()): Promise<T> {
    if (this.#length >= this.#maxLength) {
      throw new SlotpoolError(
        'POOL_FULL',
        `no slot is free, and ${this.#length} wait for one in this process already, as many as may (TERMINAL_MAX_WAITING)`,
        { details: { waiting: this.#length, maxWaiting: this.#maxLength } },
      )
    }
    this.#length++
    try {
      for (;;) {
        await this.#turn(ticket, signal)
        const result = await work().finally(() => {
          this.#occupied = false
        })
        if (result !== letOthersFirst) return result
      }
    } finally {
      this.#admitNext()
      this.#length--
    }
  }

  #turn(ticket: Ticket, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const place: Place = {
        ticket,
        enter: () => {
          signal.removeEventListener('abort', leave)
          resolve()
        },
      }
      const leave = (): void => {
        const at = this.#places.indexOf(place)
        if (at !== -1) this.#places.splice(at, 1)
        reject(new SlotpoolError('CANCELLED', 'gave up waiting for a slot', { cause: signal.reason }))
      }
      if (signal.aborted) return leave()
      signal.addEventListener('abort', leave, { once: true })
      this.#insert(place)
      this.#admitNext()
    })
  }

  /** Nearly always at the end. */
  #insert(place: Place): void {
    let at = this.#places.length
    while (at > 0 && (this.#places[at - 1] as Place).ticket > place.ticket) at--
    this.#places.splice(at, 0, place)
  }

  #admitNext(): void {
    if (this.#occupied) return
    const next = this.#places.shift()
    if (!next) return
    this.#occupied = true
    next.enter()
  }
}

/** Resolves when `turn` does, and throws what it throws. @throws {SlotpoolError} `CANCELLED` when `signal` is aborted before. */
export function turnOrAbort(turn: Promise<void>, signal: AbortSignal): Promise<void> {
  return unlessAborted(turn, signal, () => new SlotpoolError('CANCELLED', 'gave up waiting for a slot', { cause: signal.reason }))
}

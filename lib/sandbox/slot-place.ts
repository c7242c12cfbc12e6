import type { SlotState } from '../wire/status.ts'

/** What is said of a slot is for people, and may quote a program that had much to say. */
const longestReason = 300

/** One number of a server's slots: what it is to the outside, from one slot of that number to the next. */
export class SlotPlace {
  readonly number: number
  #state: SlotState = 'preparing'
  #reason: string | null = null
  /** How often a slot of this number was given out. */
  uses = 0
  /** How often in a row there was none to give out: it could not be made, or ended before anybody had it. */
  failures = 0
  /** It has been ready once, or could not be made. */
  tried = false

  constructor(number: number) {
    this.number = number
  }

  get state(): SlotState {
    return this.#state
  }

  /** Why it is in the state that it is in, where that is none of every day. */
  get reason(): string | null {
    return this.#reason
  }

  /** Whether there will be another slot of this number. */
  get inService(): boolean {
    return this.#state !== 'quarantined' && this.#state !== 'spent'
  }

  become(state: SlotState, reason: string | null = null): void {
    this.#state = state
    this.#reason = reason !== null && reason.length > longestReason ? `${reason.slice(0, longestReason)}…` : reason
  }
}

import { SlotpoolError } from '../errors.ts'
import type { ServerState } from '../wire/load.ts'
import type { Clock } from './clock.ts'

/** Whether new leases are given. Leases that stand are not its business. */
export class Admission {
  readonly #clock: Clock
  readonly #onServing: () => void
  /** Ends the time for which it drains. */
  #stopDraining: (() => void) | undefined
  #ending = false
  #retired = false

  /** `onServing` is called when leases are given again. */
  constructor(clock: Clock, onServing: () => void) {
    this.#clock = clock
    this.#onServing = onServing
  }

  get state(): ServerState {
    if (this.#retired) return 'retired'
    return this.#ending || this.#stopDraining ? 'draining' : 'serving'
  }

  /** Refuses new leases for `ttlMs`, counted anew each time: whoever wanted it may have died. */
  drain(ttlMs: number): void {
    this.#dropTimer()
    if (this.#ending || this.#retired) return
    this.#stopDraining = this.#clock.after(ttlMs, () => {
      this.#stopDraining = undefined
      this.#tell()
    })
  }

  /** Gives leases again, unless the server is about to end, or was retired. */
  undrain(): void {
    this.#dropTimer()
    this.#tell()
  }

  /** The server is about to end: there is no going back. */
  end(): void {
    this.#ending = true
    this.#dropTimer()
  }

  /** There will be no lease again. */
  retire(): void {
    this.#retired = true
    this.#dropTimer()
  }

  /** @throws {SlotpoolError} `SLOT_UNAVAILABLE`, as from a server that is full: others may have a slot. */
  check(): void {
    const { state } = this
    if (state === 'serving') return
    const message = this.#ending
      ? 'this sandbox server is shutting down and gives no new lease'
      : `this sandbox server is ${state === 'retired' ? 'retired' : 'being drained'} and gives no new lease`
    throw new SlotpoolError('SLOT_UNAVAILABLE', message, { details: { draining: true, ...(this.#retired ? { retired: true } : {}) } })
  }

  #dropTimer(): void {
    this.#stopDraining?.()
    this.#stopDraining = undefined
  }

  #tell(): void {
    if (this.state === 'serving') this.#onServing()
  }
}

import { SlotpoolError } from '../errors.ts'

/** Lets one in at a time, first come, first served. */
export class WaitingLine {
  #last: Promise<void> = Promise.resolve()
  #length = 0

  /** How many are in line, the one at its head included. */
  get length(): number {
    return this.#length
  }

  /** Runs `work` when all who came before are done. Who gives up while still in line leaves it. @throws {SlotpoolError} `CANCELLED`. */
  async inTurn<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const before = this.#last
    let leave: () => void = () => {}
    const done = new Promise<void>((resolve) => {
      leave = resolve
    })
    // The next one waits for those before, too, even when this one gives up early.
    this.#last = before.then(() => done)
    this.#length++
    try {
      await turnOrAbort(before, signal)
      return await work()
    } finally {
      this.#length--
      leave()
    }
  }
}

/** Resolves when `turn` does, and throws what it throws. @throws {SlotpoolError} `CANCELLED` when `signal` is aborted before. */
export function turnOrAbort(turn: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new SlotpoolError('CANCELLED', 'gave up waiting for a slot', { cause: signal.reason }))
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    turn.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

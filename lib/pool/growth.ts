import { SlotpoolError } from '../errors.ts'

/**
 * Growing a pool, one growth at a time in this process. It belongs to nobody who waits for it: a container takes longer to start than many
 * a caller waits, and what one of them had begun serves the next. Only closing the pool gives it up.
 */
export class Growth {
  readonly #grow: (count: number, signal: AbortSignal) => Promise<unknown>
  #underWay: { count: number; done: Promise<void>; abort: AbortController } | undefined
  #closed = false

  constructor(grow: (count: number, signal: AbortSignal) => Promise<unknown>) {
    this.#grow = grow
  }

  /** To how many containers the pool grows right now. */
  get target(): number | undefined {
    return this.#underWay?.count
  }

  /** Begins to grow to `count` containers, or joins the growth under way, whatever its count. Who joins sees how that ends. */
  begin(count: number): Promise<void> {
    if (this.#closed) return Promise.reject(new SlotpoolError('POOL_CLOSED', 'the pool was closed in this process; open it again'))
    if (this.#underWay) return this.#underWay.done
    const abort = new AbortController()
    const done = this.#grow(count, abort.signal)
      .then(() => {})
      .finally(() => {
        this.#underWay = undefined
      })
    // Nobody may be waiting when it fails: the next who needs a container tries again and is told.
    done.catch(() => {})
    this.#underWay = { count, done, abort }
    return done
  }

  /** Gives up what is under way, and resolves when nothing of it is left. */
  async stop(): Promise<void> {
    const underWay = this.#underWay
    underWay?.abort.abort()
    await underWay?.done.catch(() => {})
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.stop()
  }
}

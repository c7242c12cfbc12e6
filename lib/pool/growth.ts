import { SlotpoolError } from '../errors.ts'
import type { Clock } from '../sandbox/clock.ts'
import { pause } from './pause.ts'

/** After a growth that failed, none is tried by those who wait before this has passed; twice as long after each that fails again, up to the longest. */
const firstPauseMs = 1_000
const longestPauseMs = 60_000

/** Those who ask within this are served by one growth: many come at once, and each of them finds the pool full a little later than the last. */
const gatherMs = 10

export interface GrowthOptions {
  grow: (count: number, signal: AbortSignal) => Promise<unknown>
  clock: Clock
  /** Told of each growth how it ended. */
  onEnd: (failure: SlotpoolError | undefined) => void
}

/**
 * Growing a pool, one growth at a time in this process. It belongs to nobody who waits for it: a container takes longer to start than many
 * a caller waits, and what one of them had begun serves the next. Only closing the pool gives it up.
 */
export class Growth {
  readonly #options: GrowthOptions
  #underWay: { count: () => number; done: Promise<void>; abort: AbortController } | undefined
  /** The last growth, if it failed, and until when those who wait try no other. */
  #failed: { error: SlotpoolError; untilMs: number; pauseMs: number } | undefined
  #closed = false

  constructor(options: GrowthOptions) {
    this.#options = options
  }

  /** To how many containers the pool grows right now. */
  get target(): number | undefined {
    return this.#underWay?.count()
  }

  /** Why the last growth failed; undefined when it did not. */
  get failure(): SlotpoolError | undefined {
    return this.#failed?.error
  }

  /** Whether one failed so lately that to try another would be to hammer at the engine. */
  get rests(): boolean {
    return this.#failed !== undefined && this.#options.clock.now() < this.#failed.untilMs
  }

  /**
   * Begins to grow to as many containers as `count` says in a moment, or joins the growth under way, whatever its count. Who joins sees how that
   * ends. Nothing is made when it turns out to be `needless` by then.
   */
  begin(count: () => number, needless: (signal: AbortSignal) => Promise<boolean> = async () => false): Promise<void> {
    if (this.#closed) return Promise.reject(new SlotpoolError('POOL_CLOSED', 'the pool was closed in this process; open it again'))
    if (this.#underWay) return this.#underWay.done
    const abort = new AbortController()
    const done = pause(this.#options.clock, gatherMs, abort.signal)
      .then(async () => {
        if (!abort.signal.aborted && (await needless(abort.signal))) return
        if (abort.signal.aborted) throw new SlotpoolError('CANCELLED', 'growing was given up')
        await this.#options.grow(count(), abort.signal)
        this.#note(undefined)
      })
      .catch((error) => {
        if (!abort.signal.aborted) this.#note(SlotpoolError.from(error))
        throw error
      })
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

  #note(error: SlotpoolError | undefined): void {
    const pauseMs = this.#failed ? Math.min(this.#failed.pauseMs * 2, longestPauseMs) : firstPauseMs
    this.#failed = error && { error, untilMs: this.#options.clock.now() + pauseMs, pauseMs }
    this.#options.onEnd(error)
  }
}

import { longestLoadWindowMs } from '../wire/load.ts'
import type { Clock } from './clock.ts'

const bucketMs = 1_000
/** The one that has begun, and the whole of the hour before it. */
const buckets = longestLoadWindowMs / bucketMs + 1

/** How many slots were leased at once, the most in each second of the last hour. */
export class LeasePeaks {
  readonly #clock: Clock
  /** The most in bucket number `n` is at `n % buckets`. */
  readonly #most = new Uint16Array(buckets)
  #bucket: number
  #current = 0

  constructor(clock: Clock) {
    this.#clock = clock
    this.#bucket = this.#now()
  }

  /** So many are leased from now on. */
  note(leased: number): void {
    this.#moveOn()
    this.#current = leased
    const at = this.#bucket % buckets
    if (leased > (this.#most[at] as number)) this.#most[at] = leased
  }

  /** The most within the last `withinMs`, rounded up to whole buckets; with 0, how many there are now. */
  most(withinMs: number): number {
    this.#moveOn()
    if (withinMs <= 0) return this.#current
    let most = this.#current
    const oldest = Math.max(this.#bucket - Math.ceil(withinMs / bucketMs), this.#bucket - buckets + 1, 0)
    for (let bucket = this.#bucket; bucket >= oldest; bucket--) most = Math.max(most, this.#most[bucket % buckets] as number)
    return most
  }

  /** Buckets that have begun since start with what was leased meanwhile. A clock that was put back stays in its bucket until it comes to it. */
  #moveOn(): void {
    const now = this.#now()
    const begun = Math.min(now - this.#bucket, buckets)
    for (let bucket = now - begun + 1; bucket <= now; bucket++) this.#most[bucket % buckets] = this.#current
    this.#bucket = Math.max(this.#bucket, now)
  }

  #now(): number {
    return Math.floor(this.#clock.now() / bucketMs)
  }
}

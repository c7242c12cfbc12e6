import type { Clock } from './clock.ts'

/** Whoever wants a size says so again sooner than this. */
const rememberedMs = 60_000

/** How many containers the pool's managers want it to keep, as each of them said lately. */
export class WantedSize {
  readonly #clock: Clock
  readonly #untilMs = new Map<number, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  note(containers: number): void {
    if (containers > 0) this.#untilMs.set(containers, this.#clock.now() + rememberedMs)
  }

  /** The largest of them; 0 when nobody said anything. */
  get containers(): number {
    for (const [size, untilMs] of this.#untilMs) if (untilMs <= this.#clock.now()) this.#untilMs.delete(size)
    return Math.max(0, ...this.#untilMs.keys())
  }
}

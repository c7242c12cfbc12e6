import { type Clock, systemClock } from '../sandbox/clock.ts'
import { turnOrAbort } from './waiting-line.ts'

/**
 * So long for each container the answers of all are believed, in a pool of at least so many: each of a crowd that comes to a full pool, one a little after
 * the other, would ask all of them. What comes free in this process is known at once.
 */
const believedOfEachMs = 1
const largePool = 100

/**
 * How many idle slots which containers had when they were last heard of. Who finds a home full tries those, instead of asking all containers: in a
 * large pool that is nearly full, hardly any has room. It may be out of date either way: a container that has none any more refuses.
 */
export class Vacancies {
  /** Those heard of longest ago come first: a slot that came free a moment ago is still being made ready. */
  readonly #idle = new Map<string, number>()
  readonly #clock: Clock
  #asking: Promise<void> | undefined
  #answeredAtMs = Number.NEGATIVE_INFINITY

  constructor(clock: Clock = systemClock) {
    this.#clock = clock
  }

  /** A container said that it has so many. */
  heard(id: string, idle: number): void {
    if (idle > 0) this.#idle.set(id, idle)
    else this.#idle.delete(id)
  }

  /** A slot came free there. */
  freed(id: string): void {
    this.#idle.set(id, (this.#idle.get(id) ?? 0) + 1)
  }

  /** A container where there may be a slot, of those that are not in `tried`. Counted as taken: others who ask meanwhile are told of others. */
  claim(tried: ReadonlySet<string>): string | undefined {
    for (const [id, idle] of this.#idle) {
      if (tried.has(id)) continue
      this.heard(id, idle - 1)
      return id
    }
    return undefined
  }

  /** Asks all of them. Those who ask at once share the answers, and in a large pool those who ask soon after. */
  async askAll(ids: readonly string[], ask: (id: string) => Promise<number>, signal: AbortSignal): Promise<void> {
    const believedMs = ids.length < largePool ? 0 : ids.length * believedOfEachMs
    if (this.#clock.now() < this.#answeredAtMs + believedMs) return
    this.#asking ??= Promise.all(ids.map(async (id) => this.heard(id, await ask(id))))
      .then(() => {
        this.#answeredAtMs = this.#clock.now()
      })
      .finally(() => {
        this.#asking = undefined
      })
    await turnOrAbort(this.#asking, signal)
  }
}

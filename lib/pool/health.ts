import type { Clock } from '../sandbox/clock.ts'
import type { LoadQuery, ServerLoad } from '../wire/load.ts'
import type { ReadyContainer } from './containers.ts'
import { askBriefly, isUnreachable } from './silent-container.ts'

/** One that did not answer is asked again after this, then after twice as long, up to the longest. */
const firstPauseMs = 1_000
const longestPauseMs = 30_000

/** Leases of others, of which nothing was heard, live as long as they do by default. */
const usualTtlMs = 300_000

interface Silence {
  sinceMs: number
  pauseMs: number
  askAgainAtMs: number
}

/** Which containers are well, by one cheap request to each: its load. Those that do not answer are asked the more rarely; one that refuses is not silent. */
export class Health {
  readonly #clock: Clock
  readonly #silent = new Map<string, Silence>()
  #longestTtlMs = usualTtlMs

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The load of each by its id; those that gave none are left out. Which containers are not asked about any more is forgotten. */
  async ask(containers: readonly ReadyContainer[], query: LoadQuery, signal: AbortSignal): Promise<Map<string, ServerLoad>> {
    const ids = new Set(containers.map((one) => one.container.id))
    for (const id of this.#silent.keys()) if (!ids.has(id)) this.#silent.delete(id)
    const loads = new Map<string, ServerLoad>()
    await Promise.all(
      containers.map(async ({ container: { id }, client }) => {
        const silence = this.#silent.get(id)
        if (silence && this.#clock.now() < silence.askAgainAtMs) return
        try {
          const load = await askBriefly((either) => client.load(query, either), signal, this.#clock)
          loads.set(id, load)
          this.#longestTtlMs = Math.max(this.#longestTtlMs, load.longestTtlMs)
          this.#silent.delete(id)
        } catch (error) {
          if (signal.aborted) return
          if (isUnreachable(error)) this.#noteSilence(id, silence)
          // It lives, and its leases are others' business: it may be of another protocol, or of a pool with another token.
          else this.#silent.delete(id)
        }
      }),
    )
    return loads
  }

  silentForMs(id: string): number {
    const silence = this.#silent.get(id)
    return silence ? this.#clock.now() - silence.sinceMs : 0
  }

  /** The longest lifetime of a lease that any container told of: whoever renews one may reach a container that is silent to this process. */
  get longestTtlMs(): number {
    return this.#longestTtlMs
  }

  #noteSilence(id: string, before: Silence | undefined): void {
    const nowMs = this.#clock.now()
    const pauseMs = before ? Math.min(before.pauseMs * 2, longestPauseMs) : firstPauseMs
    this.#silent.set(id, { sinceMs: before?.sinceMs ?? nowMs, pauseMs, askAgainAtMs: nowMs + pauseMs })
  }
}

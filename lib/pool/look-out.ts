import { whenAborted } from '../client/when-aborted.ts'
import type { Clock } from '../sandbox/clock.ts'
import type { ReadyContainer } from './containers.ts'
import { askBriefly } from './silent-container.ts'
import type { Vacancies } from './vacancies.ts'

/** How long a container may take to say that it has room; then it is asked again, for as long as somebody waits. */
const lookOutMs = 30_000
/** How much longer its answer may take than that. */
const answerMs = 5_000

/** How often whoever waits looks by himself which containers there are, and whether the pool may grow by now. */
const lookAnywayMs = 5_000
/** Where none could be asked, one look would follow the last without a pause. */
const noServerPauseMs = 100

/**
 * Has the containers of a full pool say when they have room. Each is asked once for all who wait, one after the other, and not again for each of
 * them; when nobody waits any more the last answers come to their end.
 */
export class LookOut {
  readonly #vacancies: Vacancies
  readonly #clock: Clock
  /** By the id of the container. */
  readonly #asked = new Set<string>()
  #wanted = false
  /** Some container has said that it has room since the last time that somebody was told. */
  #news = false
  #tell: () => void = () => {}

  constructor(vacancies: Vacancies, clock: Clock) {
    this.#vacancies = vacancies
    this.#clock = clock
  }

  /** Resolves when some container has room, it is time to look anyway, or `signal` is aborted. For one caller at a time. */
  async next(ready: readonly ReadyContainer[], signal: AbortSignal, withinMs: number = lookAnywayMs): Promise<void> {
    this.#wanted = true
    for (const one of ready) if (!this.#asked.has(one.container.id)) void this.#ask(one)
    if (!this.#news) await this.#toldOrTime(ready.length > 0 ? withinMs : noServerPauseMs, signal)
    this.#news = false
  }

  /** Nobody waits any more. */
  rest(): void {
    this.#wanted = false
  }

  #toldOrTime(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const over = (): void => {
        stop()
        signal.removeEventListener('abort', over)
        this.#tell = () => {}
        resolve()
      }
      const stop = this.#clock.after(ms, over, true)
      this.#tell = over
      if (signal.aborted) over()
      else whenAborted(signal, over)
    })
  }

  async #ask({ container, client }: ReadyContainer): Promise<void> {
    const { signal: never } = new AbortController()
    this.#asked.add(container.id)
    let idle = 0
    try {
      while (idle === 0 && this.#wanted) {
        idle = await askBriefly((signal) => client.idle(lookOutMs, signal), never, this.#clock, lookOutMs + answerMs)
      }
    } catch {
      // Whoever waits looks which containers there are before it is asked again.
      if (this.#asked.size === 1) this.#clock.after(noServerPauseMs, () => this.#tell())
    }
    this.#asked.delete(container.id)
    if (idle === 0) return
    this.#vacancies.heard(container.id, idle)
    this.#news = true
    this.#tell()
  }
}

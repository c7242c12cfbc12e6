import { type AgreedRoster, type Agreement, agreeOnRoster, rosterInForce, type SeenRoster } from './agree-on-roster.ts'
import type { Containers, Look, ReadyContainer } from './containers.ts'
import { turnOrAbort } from './waiting-line.ts'

/** How soon it is tried again to take in a container that could not be taken in because another was silent. */
export const retryMs = 1_000

/** The pool's roster as this process knows it. It is asked for only when there is reason to doubt it: a home refuses an old one. */
export class PoolRoster {
  readonly #containers: Containers
  readonly #closed = new AbortController()
  #known: Agreement | undefined
  #members = new Set<string>()
  #asking: Promise<Agreement> | undefined
  /** It was refused there, and one no older is wanted. */
  #refused: { number: number; by: ReadyContainer | undefined } | undefined
  readonly #seen: SeenRoster = {}
  #wholeUntilMs = Number.NEGATIVE_INFINITY

  constructor(containers: Containers) {
    this.#containers = containers
  }

  /** The roster in force, as far as is known. Many may ask at once: together they find out once. */
  async get(signal: AbortSignal): Promise<Agreement> {
    if (this.#known) return this.#known
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined
    })
    const asking = this.#asking
    await turnOrAbort(
      asking.then(() => {}),
      signal,
    )
    return asking
  }

  /** It was refused, or a container of it did not answer: it is asked for anew. `by` is who refused it. */
  doubt({ id, number }: AgreedRoster, by?: ReadyContainer): void {
    if (this.#known?.roster?.id !== id) return
    this.#known = undefined
    this.#refused = { number, by }
  }

  /** Whether that roster is the one in force, as far as is known. */
  isKnown(id: string | undefined): boolean {
    return id !== undefined && this.#known?.roster?.id === id
  }

  /** Whether a container was a member of it when it was last known. */
  has(id: string): boolean {
    return this.#members.has(id)
  }

  /** Takes note of the containers that there are: new ones have to be taken in. Resolves with whether all are. */
  covers({ ready }: Look): boolean {
    const { roster } = this.#known ?? {}
    if (!roster) return false
    if (ready.every((one) => this.#members.has(one.container.id))) return true
    if (this.#containers.clock.now() < this.#wholeUntilMs) return true
    this.#known = undefined
    return false
  }

  async close(): Promise<void> {
    this.#closed.abort()
    await this.#asking?.catch(() => {})
  }

  async #ask(): Promise<Agreement> {
    const { signal } = this.#closed
    const refused = this.#refused
    this.#refused = undefined
    const quickly =
      refused && !refused.by ? undefined : await rosterInForce(this.#containers, refused?.by, refused?.number ?? 0, signal, this.#seen)
    const agreement = quickly ? { roster: quickly, silent: [] } : await agreeOnRoster(this.#containers, signal, this.#seen)
    if (agreement.silent.length > 0) this.#wholeUntilMs = this.#containers.clock.now() + retryMs
    // Without containers there is none to keep; there may be some the next time.
    if (agreement.roster) {
      this.#known = agreement
      this.#members = new Set(agreement.roster.members.map((one) => one.id))
    }
    return agreement
  }
}

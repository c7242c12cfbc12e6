import { setTimeout as delay } from 'node:timers/promises'
import type { Container } from './backend.ts'
import { pauseBeforeNextLook } from './look-pause.ts'

const firstPauseMs = 50

/** A server that takes longer to start is looked at as often as one that may never. */
const patienceMs = 30_000
const longPauseMs = 5_000

/** What is looked at. */
export interface LookedAt {
  /** What fails is tried again. */
  list(signal?: AbortSignal): Promise<Container[]>
  /** How long after an event the list may not show it yet, in milliseconds. */
  lagMs: number
}

/**
 * Looks again after events, and tells when the list is another: since an engine may tell of an event before its list shows it, and none tells
 * when a sandbox server has begun to answer. So it looks after each event, for as long as the list may lag, and on while a container runs that
 * has not answered.
 */
export class AfterLooks {
  readonly #list: (signal: AbortSignal) => Promise<Container[]>
  readonly #onNews: () => void
  readonly #signal: AbortSignal
  readonly #lagMs: number
  #seen: string | undefined
  #looking: Promise<void> | undefined
  #touched = false

  /** @param onNews called when the list is another than at the look before. */
  constructor({ list, lagMs }: LookedAt, onNews: () => void, signal: AbortSignal) {
    this.#list = list
    this.#lagMs = lagMs
    this.#onNews = onNews
    this.#signal = signal
  }

  /** There was an event. */
  touch(): void {
    this.#touched = true
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined
    })
  }

  /**
   * Somebody else was shown these. Where that is not what it has seen itself, its next look is news: what changes and changes back between two looks
   * would be the last that they know of.
   */
  shown(containers: readonly Container[]): void {
    if (keyOf(containers) !== this.#seen) this.#seen = undefined
  }

  /** Resolves when it no longer looks, which it does soon after its signal aborted. */
  async ended(): Promise<void> {
    await this.#looking
  }

  async #look(): Promise<void> {
    for (let eventAt = performance.now(); !this.#signal.aborted; ) {
      if (this.#touched) eventAt = performance.now()
      this.#touched = false
      const beganAt = performance.now()
      const someAreStarting = await this.#someAreStarting()
      const elapsedMs = performance.now() - eventAt
      if (!someAreStarting && !this.#touched && elapsedMs >= this.#lagMs) return
      const pauseMs = someAreStarting ? pauseWhileStarting(elapsedMs) : Math.max(firstPauseMs, elapsedMs)
      // A list of thousands takes long: it is asked for at most half of the time. Rejects on abort, which ends the loop.
      await delay(Math.max(pauseMs, performance.now() - beganAt), undefined, { signal: this.#signal, ref: false }).catch(() => undefined)
    }
  }

  async #someAreStarting(): Promise<boolean> {
    let containers: Container[]
    try {
      containers = await this.#list(this.#signal)
    } catch {
      return true
    }
    const now = keyOf(containers)
    const isNews = now !== this.#seen
    this.#seen = now
    if (isNews && !this.#signal.aborted) this.#onNews()
    return containers.some((one) => one.state === 'starting' && one.endpoint !== undefined)
  }
}

function pauseWhileStarting(elapsedMs: number): number {
  return elapsedMs > patienceMs ? longPauseMs : pauseBeforeNextLook(elapsedMs)
}

function keyOf(containers: readonly Container[]): string {
  return JSON.stringify(containers.map(({ id, state }) => [id, state]))
}

import { setTimeout as delay } from 'node:timers/promises'
import type { Backend } from '../backend/backend.ts'
import type { Containers } from './containers.ts'

/** A process that runs a command or two has no use for a watch, and shall not pay for one. */
const startAfterMs = 500
/** How often containers are listed where they cannot be watched. */
const listEveryMs = 10_000
/** After a list that failed. */
const retryAfterMs = 1_000

/**
 * Keeps what this process knows of the containers in step with the backend, so that who has a slot in a container which is gone learns of it at
 * once. The backend only says that something changed; what, is seen in a list.
 */
export class ContainerWatch {
  readonly #backend: Backend
  readonly #containers: Containers
  readonly #closed = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #watching: Promise<void> | undefined
  #looking: Promise<void> | undefined
  #changedMeanwhile = false

  constructor(backend: Backend, containers: Containers) {
    this.#backend = backend
    this.#containers = containers
  }

  /** Begins to watch, soon. It keeps no process alive. */
  start(): void {
    if (this.#timer || this.#closed.signal.aborted) return
    this.#timer = setTimeout(() => {
      this.#watching = this.#watch()
    }, startAfterMs)
    this.#timer.unref()
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#closed.abort()
    await this.#watching
    await this.#looking
  }

  async #watch(): Promise<void> {
    const { signal } = this.#closed
    this.#changed()
    await this.#backend.watch(() => this.#changed(), signal).catch(() => {})
    // It may not be watched, for want of a right perhaps.
    while (!signal.aborted) {
      await delay(listEveryMs, undefined, { signal, ref: false }).catch(() => {})
      if (!signal.aborted) this.#changed()
    }
  }

  /** One look at a time, and one more when something changed meanwhile. */
  #changed(): void {
    this.#changedMeanwhile = true
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined
    })
  }

  async #look(): Promise<void> {
    const { signal } = this.#closed
    while (this.#changedMeanwhile && !signal.aborted) {
      this.#changedMeanwhile = false
      try {
        await this.#containers.look(signal)
      } catch {
        this.#changedMeanwhile = true
        await delay(retryAfterMs, undefined, { signal, ref: false }).catch(() => {})
      }
    }
  }
}

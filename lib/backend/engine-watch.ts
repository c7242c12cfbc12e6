import { LinkedAbortController } from '../client/linked-abort-controller.ts'
import { AfterLooks, type LookedAt } from './after-looks.ts'
import type { Container } from './backend.ts'

/** What an engine that tells of events gives a watch. */
export interface EngineEvents extends LookedAt {
  /** Calls `onEvent` when it has got through to the engine and for each event, until `signal` aborts. */
  follow(onEvent: () => void, signal: AbortSignal): Promise<void>
}

interface Run {
  over: AbortController
  done: Promise<void>
}

/**
 * `Backend.watch` where the engine tells of its containers, but not of the servers in them: one connection for all who watch, for as long as
 * anybody does. Its list is looked at after each event, too.
 */
export class EngineWatch {
  readonly #events: EngineEvents
  readonly #watchers = new Set<{ onChange: () => void }>()
  readonly #closed = new AbortController()
  #run: Run | undefined
  #looks: AfterLooks | undefined

  constructor(events: EngineEvents) {
    this.#events = events
  }

  /** The list, for whoever else wants it: see `Backend.list`. */
  async list(signal?: AbortSignal): Promise<Container[]> {
    const containers = await this.#events.list(signal)
    this.#looks?.shown(containers)
    return containers
  }

  /** See `Backend.watch`. */
  async join(onChange: () => void, signal: AbortSignal): Promise<void> {
    using leaving = new LinkedAbortController(signal, this.#closed.signal)
    const either = leaving.signal
    if (either.aborted) return
    const watcher = { onChange }
    this.#watchers.add(watcher)
    // Who joins a watch that stands already is not told that it has begun.
    if (this.#run) onChange()
    this.#run ??= this.#begin()
    const run = this.#run
    const left = aborted(either)
    try {
      await Promise.race([run.done, left.promise])
    } finally {
      left.forget()
      this.#watchers.delete(watcher)
      if (this.#watchers.size === 0) await this.#end(run)
    }
  }

  /** Lets all go who watch. */
  close(): void {
    this.#closed.abort()
  }

  #begin(): Run {
    const over = new AbortController()
    const done = this.#follow(over.signal)
    // Told to each who watches.
    done.catch(() => {})
    return { over, done }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    using over = new LinkedAbortController(signal)
    const either = over.signal
    const looks = new AfterLooks(this.#events, () => this.#tell(either), either)
    this.#looks = looks
    try {
      await this.#events.follow(() => {
        if (!either.aborted) looks.touch()
        this.#tell(either)
      }, either)
    } finally {
      over.abort()
      if (this.#looks === looks) this.#looks = undefined
      await looks.ended()
    }
  }

  async #end(run: Run): Promise<void> {
    if (this.#run === run) this.#run = undefined
    run.over.abort()
    await run.done.catch(() => {})
  }

  #tell(signal: AbortSignal): void {
    if (signal.aborted) return
    for (const { onChange } of this.#watchers) onChange()
  }
}

function aborted(signal: AbortSignal): { promise: Promise<void>; forget: () => void } {
  let forget = (): void => {}
  const promise = new Promise<void>((resolve) => {
    const done = (): void => resolve()
    signal.addEventListener('abort', done, { once: true })
    forget = () => signal.removeEventListener('abort', done)
  })
  return { promise, forget }
}

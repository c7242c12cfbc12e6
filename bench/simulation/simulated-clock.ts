import type { Clock } from '../../lib/sandbox/clock.ts'

interface Timer {
  atMs: number
  /** Of two that are due at one moment the one that was set first comes first. */
  order: number
  /** Undefined when it was stopped. */
  callback: (() => void) | undefined
  noticed: boolean
  taken: boolean
}

/** What is due at one moment. */
export interface Moment {
  atMs: number
  timers: readonly Timer[]
  /** Whether some of it is noticed. */
  noticed: boolean
}

/** So many stopped timers are carried along; with more than half of all they are swept out. */
const carriedAlong = 10_000

/** Time that passes only when it is told to. Made for some ten thousand timers at once, most of which are stopped or do nothing. */
export class SimulatedClock implements Clock {
  /**
   * The same time, for whom it is not worth while to wait until all that a timer set off is over: a lease looks every ten seconds whether it
   * has expired, and hardly ever has.
   */
  readonly unnoticed: Clock = { now: () => this.now(), after: (delayMs, callback) => this.#add(delayMs, callback, false) }
  readonly #heap: Timer[] = []
  #nowMs: number
  #order = 0
  #stopped = 0

  constructor(nowMs: number) {
    this.#nowMs = nowMs
  }

  now(): number {
    return this.#nowMs
  }

  after(delayMs: number, callback: () => void): () => void {
    return this.#add(delayMs, callback, true)
  }

  /** How many timers are set. */
  get pending(): number {
    return this.#heap.length - this.#stopped
  }

  /** Takes what is due next, if that is not after `untilMs`. It is to be called by {@link call}. */
  take(untilMs: number): Moment | undefined {
    this.#dropStopped()
    const first = this.#heap[0]
    if (!first || first.atMs > untilMs) return undefined
    const timers: Timer[] = []
    for (let next = this.#heap[0]; next?.atMs === first.atMs; next = this.#heap[0]) {
      if (next.callback) {
        next.taken = true
        timers.push(next)
      } else this.#stopped--
      this.#pop()
    }
    return { atMs: first.atMs, timers, noticed: timers.some((one) => one.noticed) }
  }

  /** Moves the time there and calls what is due, but for what was stopped since it was taken. */
  call({ atMs, timers }: Moment): void {
    this.moveTo(atMs)
    for (const timer of timers) {
      const { callback } = timer
      timer.callback = undefined
      callback?.()
    }
  }

  moveTo(atMs: number): void {
    this.#nowMs = Math.max(this.#nowMs, atMs)
  }

  #add(delayMs: number, callback: () => void, noticed: boolean): () => void {
    // Whole milliseconds, as the machine's own timers have them: so things happen at once that would anywhere else.
    const timer: Timer = { atMs: this.#nowMs + Math.max(1, Math.ceil(delayMs)), order: this.#order++, callback, noticed, taken: false }
    const heap = this.#heap
    let at = heap.push(timer) - 1
    while (at > 0) {
      const above = (at - 1) >> 1
      if (!isBefore(timer, heap[above] as Timer)) break
      heap[at] = heap[above] as Timer
      at = above
    }
    heap[at] = timer
    return () => {
      if (!timer.callback) return
      timer.callback = undefined
      if (timer.taken) return
      this.#stopped++
      if (this.#stopped > carriedAlong && this.#stopped > this.#heap.length / 2) this.#sweep()
    }
  }

  #dropStopped(): void {
    while (this.#heap.length > 0 && !this.#heap[0]?.callback) {
      this.#stopped--
      this.#pop()
    }
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop() as Timer
    if (heap.length === 0) return
    this.#sink(last, 0)
  }

  /** Puts a timer at that place or below it, where none that is below is due before it. */
  #sink(timer: Timer, from: number): void {
    const heap = this.#heap
    let at = from
    for (;;) {
      let below = 2 * at + 1
      if (below >= heap.length) break
      if (below + 1 < heap.length && isBefore(heap[below + 1] as Timer, heap[below] as Timer)) below++
      if (!isBefore(heap[below] as Timer, timer)) break
      heap[at] = heap[below] as Timer
      at = below
    }
    heap[at] = timer
  }

  #sweep(): void {
    const left = this.#heap.filter((one) => one.callback)
    this.#heap.length = 0
    this.#heap.push(...left)
    this.#stopped = 0
    for (let at = (left.length >> 1) - 1; at >= 0; at--) this.#sink(left[at] as Timer, at)
  }
}

function isBefore(one: Timer, other: Timer): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order)
}

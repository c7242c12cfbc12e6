import type { Clock } from './clock.ts'
import type { Execution } from './execution.ts'
import type { HeldLease } from './held-lease.ts'
import { KeptExecution } from './kept-execution.ts'

/** How many results are kept, for how long, and how much of output: where that is too much, of the oldest only how it ended. */
const mostKept = 10_000
const keptMs = 600_000
const mostOutputBytes = 16 * 1024 * 1024
/** Output that a reader has had is kept only in case that reader dies with it. */
const acknowledgedOutputMs = 60_000
/** So many more are in their order than are kept before those that are not are taken out of it. */
const mostForgotten = 1024
/** How often it is looked whose time is over. */
const lookMs = 60_000

/** The results of a server's executions, for readers that come back. */
export class KeptExecutions {
  readonly #clock: Clock
  readonly #leases = new Map<KeptExecution, HeldLease>()
  /** Oldest first, from `#first` on; some are forgotten. The first of a map is the slower to find the more have been deleted before it. */
  #order: KeptExecution[] = []
  #first = 0
  /** Those whose output is held, and of these those that a reader has had: oldest first, too. */
  readonly #withOutput = new Set<KeptExecution>()
  readonly #acknowledged = new Set<KeptExecution>()
  #outputBytes = 0
  #looking = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Keeps what has come of an execution in its place. */
  keep(execution: Execution, lease: HeldLease): void {
    const kept = new KeptExecution(execution, this.#clock.now())
    lease.executions.set(kept.id, kept)
    this.#leases.set(kept, lease)
    this.#order.push(kept)
    if (this.#order.length > 2 * this.#leases.size + mostForgotten) this.#tidyUp()
    if (kept.heldBytes > 0) {
      this.#withOutput.add(kept)
      this.#outputBytes += kept.heldBytes
    }
    if (this.#leases.size > mostKept) this.#drop(this.#oldest() as KeptExecution)
    while (this.#outputBytes > mostOutputBytes) {
      const oldest = firstOf(this.#acknowledged) ?? firstOf(this.#withOutput)
      if (oldest === undefined || oldest === kept) break
      this.#letOutputGo(oldest)
    }
    if (!this.#looking) this.#lookLater()
  }

  /** A reader has had all of it. */
  acknowledge(kept: KeptExecution): void {
    if (this.#withOutput.has(kept)) this.#acknowledged.add(kept)
  }

  /** Its lease has ended: nobody will ask for it. */
  forget(kept: KeptExecution): void {
    this.#leases.delete(kept)
    this.#letOutputGo(kept)
  }

  #oldest(): KeptExecution | undefined {
    while (this.#first < this.#order.length && !this.#leases.has(this.#order[this.#first] as KeptExecution)) this.#first++
    return this.#order[this.#first]
  }

  #tidyUp(): void {
    this.#order = this.#order.filter((kept) => this.#leases.has(kept))
    this.#first = 0
  }

  /** Lets go of it as a whole. Its id stays known, so that it is never run a second time. */
  #drop(kept: KeptExecution): void {
    const lease = this.#leases.get(kept) as HeldLease
    this.forget(kept)
    lease.executions.delete(kept.id)
    lease.droppedExecutions.add(kept.id)
    if (kept.leftOpen.length > 0) lease.leftOpen = [...lease.leftOpen, ...kept.leftOpen].filter(({ over }) => !over)
  }

  #letOutputGo(kept: KeptExecution): void {
    if (!this.#withOutput.delete(kept)) return
    this.#acknowledged.delete(kept)
    this.#outputBytes -= kept.heldBytes
    kept.letOutputGo()
  }

  /** One timer for all. */
  #lookLater(): void {
    this.#looking = true
    this.#clock.after(lookMs, () => {
      this.#looking = false
      this.#look()
      if (this.#leases.size > 0) this.#lookLater()
    })
  }

  #look(): void {
    const now = this.#clock.now()
    for (let oldest = this.#oldest(); oldest && now - oldest.endedAtMs >= keptMs; oldest = this.#oldest()) this.#drop(oldest)
    this.#tidyUp()
    for (const kept of this.#acknowledged) if (now - kept.endedAtMs >= acknowledgedOutputMs) this.#letOutputGo(kept)
  }
}

function firstOf<T>(all: Iterable<T>): T | undefined {
  for (const one of all) return one
  return undefined
}

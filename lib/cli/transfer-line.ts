import type { TransferProgress } from '../backend/registry/registry.ts'
import { TransferSummary } from '../backend/registry/transfer-summary.ts'
import { notice } from './output.ts'

/** A terminal is not written to more often. */
const shownEveryMs = 100

/** Shows how far a transfer is: on a terminal one line that changes, elsewhere a line for each part that is over. */
export class TransferLine implements Disposable {
  readonly #doing: string
  readonly #summary = new TransferSummary()
  readonly #over = new Set<string>()
  readonly #isTerminal = process.stderr.isTTY === true
  #shownAt = 0
  #isShown = false

  /** @param doing such as `pulling debian:12`. */
  constructor(doing: string) {
    this.#doing = doing
  }

  take(progress: TransferProgress): void {
    this.#summary.take(progress)
    const isNews = progress.done && !this.#over.has(progress.item)
    if (progress.done) this.#over.add(progress.item)
    if (!this.#isTerminal) {
      if (isNews) notice(`slotpool: ${this.#doing}: ${this.#summary.text}`)
      return
    }
    if (!isNews && performance.now() - this.#shownAt < shownEveryMs) return
    this.#shownAt = performance.now()
    this.#isShown = true
    process.stderr.write(`\r\u001b[K${this.#doing}: ${this.#summary.text}`)
  }

  /** Leaves the line as if it had not been there. */
  [Symbol.dispose](): void {
    if (this.#isShown) process.stderr.write('\r\u001b[K')
  }
}

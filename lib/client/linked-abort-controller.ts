import { whenAborted } from './when-aborted.ts'

/**
 * Is aborted with the first of some signals, too, until it is disposed of; then nothing of it is left with them.
 *
 * With `AbortSignal.any` something is: up to Node 22 what it makes keeps some sixty bytes for as long as the longest-lived of its signals, and more than a
 * thousand where somebody goes on listening. The signal of whoever has a pool may live for days.
 */
export class LinkedAbortController extends AbortController implements Disposable {
  readonly #links: readonly { signal: AbortSignal; follow: () => void }[]

  constructor(...signals: readonly AbortSignal[]) {
    super()
    const aborted = signals.find((one) => one.aborted)
    this.#links = aborted ? [] : signals.map((signal) => ({ signal, follow: () => this.abort(signal.reason) }))
    if (aborted) this.abort(aborted.reason)
    for (const { signal, follow } of this.#links) whenAborted(signal, follow)
  }

  [Symbol.dispose](): void {
    for (const { signal, follow } of this.#links) signal.removeEventListener('abort', follow)
  }
}

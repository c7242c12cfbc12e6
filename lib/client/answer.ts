import type { Dispatcher } from 'undici'
import { whenAborted } from './when-aborted.ts'

/** What takes the content of an answer as it comes. */
export interface AnswerSink {
  /** What is thrown, or rejected, breaks the connection and is the error of the answer. Until a promise is settled nothing more is read. */
  onChunk(chunk: Buffer): Promise<unknown> | undefined
}

/** An answer that was read to its end. */
export interface Answered {
  status: number
  /** What a status other than 2xx came with. */
  refusal: Buffer
}

/** Hands the content of an answer to its sink without any stream between, which would cost more than all else that this end does. */
export class Answer implements Dispatcher.DispatchHandler {
  readonly over: Promise<Answered>
  readonly #sink: AnswerSink
  readonly #signal: AbortSignal | undefined
  readonly #refusal: Buffer[] = []
  #controller: Dispatcher.DispatchController | undefined
  #status = 0
  #resolve!: (answered: Answered) => void
  #reject!: (error: unknown) => void

  constructor(sink: AnswerSink, signal: AbortSignal | undefined) {
    this.#sink = sink
    this.#signal = signal
    this.over = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    if (signal) whenAborted(signal, this.#abort)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#signal?.aborted) this.#abort()
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    this.#status = status
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#succeeded) {
      this.#refusal.push(chunk)
      return
    }
    const handled = this.#sink.onChunk(chunk)
    if (!handled) return
    controller.pause()
    handled.then(
      () => controller.resume(),
      (error) => controller.abort(error),
    )
  }

  onResponseEnd(): void {
    this.#signal?.removeEventListener('abort', this.#abort)
    this.#resolve({ status: this.#status, refusal: Buffer.concat(this.#refusal) })
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    this.#signal?.removeEventListener('abort', this.#abort)
    this.#reject(error)
  }

  get #succeeded(): boolean {
    return this.#status >= 200 && this.#status < 300
  }

  /** Before the request is on its way there is nothing to break. */
  readonly #abort = (): void => this.#controller?.abort(this.#signal?.reason)
}

import { whenAborted } from './when-aborted.ts'

/** Ends as `work` does, unless `signal` is aborted before: then it rejects with what `error` makes, and nobody hears how `work` ends. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal, error: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(error())
    if (signal.aborted) onAbort()
    else whenAborted(signal, onAbort)
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

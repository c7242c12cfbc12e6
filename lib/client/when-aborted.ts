import { setMaxListeners } from 'node:events'

/** Calls `listener` once when `signal` is aborted, unless it is removed. One signal may be that of requests to all containers of a pool. */
export function whenAborted(signal: AbortSignal, listener: () => void): void {
  // Node takes more than ten for a mistake, and says so on stderr.
  setMaxListeners(0, signal)
  signal.addEventListener('abort', listener, { once: true })
}

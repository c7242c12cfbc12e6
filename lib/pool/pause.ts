import { whenAborted } from '../client/when-aborted.ts'
import type { Clock } from '../sandbox/clock.ts'

/** Resolves after so long, or when `signal` is aborted. Keeps the process alive meanwhile. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const over = (): void => {
      stop()
      signal.removeEventListener('abort', over)
      resolve()
    }
    const stop = clock.after(ms, over, true)
    whenAborted(signal, over)
  })
}

import { setTimeout as delay } from 'node:timers/promises'
import { lock } from 'proper-lockfile'
import { SlotpoolError } from '../../errors.ts'

/** A lock whose holder gives no sign of life for so long is taken over: its process died. */
const staleMs = 10_000
const pauseMs = 20

/**
 * Runs `work` while no other process starts or ends containers of this pool. Leases and commands need no lock.
 *
 * @throws {SlotpoolError} `CANCELLED` when `signal` is aborted before the lock is had.
 */
export async function withPoolLock<T>(folder: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  for (;;) {
    if (signal?.aborted) throw new SlotpoolError('CANCELLED', 'gave up waiting for the lock of the pool', { cause: signal.reason })
    const release = await lock(folder, { lockfilePath: `${folder}.lock`, stale: staleMs, realpath: false, onCompromised: () => {} }).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'ELOCKED') return undefined
        throw error
      },
    )
    if (!release) {
      await delay(pauseMs)
      continue
    }
    try {
      return await work()
    } finally {
      // It may have been taken over while this process was stopped; then it is not ours to give back.
      await release().catch(() => {})
    }
  }
}

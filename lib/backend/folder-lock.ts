import { setTimeout as delay } from 'node:timers/promises'
import { lock } from 'proper-lockfile'
import { SlotpoolError } from '../errors.ts'

/** A lock whose holder gives no sign of life for so long is taken over: its process died. */
const staleMs = 10_000
const pauseMs = 20

/** Beside the folder, which may go while the lock is held. */
export function folderLockPath(folder: string): string {
  return `${folder}.lock`
}

/**
 * Runs `work` while no other process that asks for the lock of this folder does: of a pool's, who starts or ends its containers.
 *
 * @throws {SlotpoolError} `CANCELLED` when `signal` is aborted before the lock is had.
 */
export async function withFolderLock<T>(folder: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  for (;;) {
    if (signal?.aborted) throw new SlotpoolError('CANCELLED', `gave up waiting for the lock of ${folder}`, { cause: signal.reason })
    const release = await tryLock(folder)
    if (release) return releasing(release, work)
    await delay(pauseMs)
  }
}

/** As {@link withFolderLock}, and does nothing where somebody else has the lock. */
export async function ifFolderUnlocked(folder: string, work: () => Promise<void>): Promise<void> {
  const release = await tryLock(folder)
  if (release) await releasing(release, work)
}

type Release = () => Promise<void>

async function tryLock(folder: string): Promise<Release | undefined> {
  try {
    return await lock(folder, { lockfilePath: folderLockPath(folder), stale: staleMs, realpath: false, onCompromised: () => {} })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ELOCKED') return undefined
    throw error
  }
}

async function releasing<T>(release: Release, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } finally {
    // It may have been taken over while this process was stopped; then it is not ours to give back.
    await release().catch(() => {})
  }
}

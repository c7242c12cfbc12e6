import { existsSync, readdirSync, rmdirSync, rmSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { basename, dirname, join } from 'node:path'
import { folderLockPath, ifFolderUnlocked } from '../folder-lock.ts'
import { isGone } from '../process-place.ts'
import { doom, removeDoomed } from './doomed.ts'
import { endLeftBehind } from './end-server.ts'
import { readOwner } from './owner-record.ts'
import { poolServers } from './pool-servers.ts'
import { sharedStateDir, shortSocketFolder } from './server-places.ts'

/** What was made so recently may be about to be used. */
const restMs = 60_000

/**
 * Removes what local servers left behind that ended or were killed, and whose pool nobody opens again: pools of this state folder none of whose
 * servers runs, folders in `/var/lib/slotpool` whose owner is gone, sockets that nobody listens at. Called with the lock of the pool at
 * `ownFolder`, which it does not touch. What it cannot remove stays for the next time; it never fails.
 */
export async function reapLeftovers(ownFolder: string): Promise<void> {
  const works = [() => reapPools(ownFolder), () => reapShared(ownFolder), reapSockets]
  for (const work of works) await work().catch(() => {})
}

async function reapPools(ownFolder: string): Promise<void> {
  const folder = dirname(ownFolder)
  const names = new Set(namesIn(folder).map((name) => name.replace(/\.lock$/, '')))
  names.delete(basename(ownFolder))
  for (const name of names) {
    const poolFolder = join(folder, name)
    if (name.startsWith('.') || !isOld(folderLockPath(poolFolder)) || !hasEnded(poolFolder)) continue
    await ifFolderUnlocked(poolFolder, async () => {
      if (!hasEnded(poolFolder)) return
      for (const { record } of poolServers(poolFolder)) {
        if (!record) continue
        await endLeftBehind(record.stateDir)
        rmSync(record.socketPath, { force: true })
        if (!record.stateDir.startsWith(`${poolFolder}/`)) doomShared(record.stateDir)
      }
      doom(poolFolder, folder)
    })
  }
  removeDoomed(folder)
}

/** Whether no server of the pool runs, and none was started or ended lately. */
function hasEnded(poolFolder: string): boolean {
  return isOld(poolFolder) && poolServers(poolFolder).every(({ life }) => life === 'gone')
}

async function reapShared(ownFolder: string): Promise<void> {
  if (process.geteuid?.() !== 0) return
  for (const pool of namesIn(sharedStateDir)) {
    const folder = join(sharedStateDir, pool)
    for (const server of namesIn(folder)) {
      const stateDir = join(folder, server)
      const owner = readOwner(stateDir)
      // Its starter died before it wrote one: there is nothing in it. Where there is, it is not known whose it is.
      if (owner === undefined) removeEmpty(stateDir)
      else if (owner.poolFolder !== ownFolder && isGone(owner)) {
        const reap = async (): Promise<void> => {
          const still = readOwner(stateDir)
          if (still === undefined || !isGone(still)) return
          await endLeftBehind(stateDir)
          rmSync(owner.socketPath, { force: true })
          doomShared(stateDir)
        }
        // Without the folder above there can be no lock, and nobody who starts a server of that pool.
        await (existsSync(dirname(owner.poolFolder)) ? ifFolderUnlocked(owner.poolFolder, reap) : reap())
      }
    }
    removeEmpty(folder)
  }
  removeDoomed(sharedStateDir)
}

function doomShared(stateDir: string): void {
  doom(stateDir, sharedStateDir)
  removeEmpty(dirname(stateDir), 0)
}

async function reapSockets(): Promise<void> {
  const folder = shortSocketFolder()
  for (const name of namesIn(folder)) {
    const path = join(folder, name)
    if (isOld(path) && !(await listens(path))) rmSync(path, { force: true })
  }
}

function listens(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'))
    socket.once('connect', () => {
      resolve(true)
      socket.destroy()
    })
  })
}

/** Whether it was not touched for a while; also when there is no such thing. */
function isOld(path: string): boolean {
  const stats = statSync(path, { throwIfNoEntry: false })
  return stats === undefined || Date.now() - stats.mtimeMs > restMs
}

function removeEmpty(folder: string, restedMs = restMs): void {
  const stats = statSync(folder, { throwIfNoEntry: false })
  if (!stats?.isDirectory() || Date.now() - stats.mtimeMs < restedMs) return
  try {
    rmdirSync(folder)
  } catch {
    // It is not empty.
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

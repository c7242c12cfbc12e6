import { realpath, stat } from 'node:fs/promises'
import type { Config } from '../config.ts'
import { isWithin, mountInvalid, type PoolMount } from '../mount.ts'
import { stateDir } from '../state-dir.ts'
import { sharedStateDir } from './local/server-places.ts'

/** A mount whose host path was followed to what is really there. */
export interface HostMount extends PoolMount {
  source: string
}

/** What is never mounted unless the operator names it: the whole machine, and where programs of the machine are talked to. */
const protectedFolders = ['/proc', '/sys', '/dev', '/run', '/var/run']

/**
 * Looks at what a configuration would mount, on the machine where it is. Links are followed before a path is judged, and what is mounted is
 * what they led to.
 *
 * @throws {SlotpoolError} `MOUNT_INVALID`.
 */
export async function resolveMounts(config: Config, env: NodeJS.ProcessEnv = process.env): Promise<HostMount[]> {
  refuseWithoutJail(config)
  if (config.mounts.length === 0) return []
  const allowed = config.mountAllow && (await Promise.all(config.mountAllow.map(real)))
  const own = await Promise.all([stateDir(env), sharedStateDir].map(real))
  return Promise.all(
    config.mounts.map(async (mount) => {
      const source = await found(mount)
      refuseForbidden(mount, source, allowed, own)
      return { ...mount, source }
    }),
  )
}

/**
 * The same where the host is another machine, as far as the paths themselves tell.
 *
 * @throws {SlotpoolError} `MOUNT_INVALID`.
 */
export function checkRemoteMounts(config: Config): void {
  refuseWithoutJail(config)
  for (const mount of config.mounts) refuseForbidden(mount, mount.host, config.mountAllow, [sharedStateDir])
}

/** Without a jail a slot has no files but its container's. */
function refuseWithoutJail({ isolation, mounts }: Config): void {
  const [first] = mounts
  if (!first || isolation === 'auto' || isolation === 'jail') return
  throw mountInvalid(first, `isolation ${isolation} cannot show a slot anything of the host; expected isolation auto or jail`)
}

async function found(mount: PoolMount): Promise<string> {
  try {
    const source = await realpath(mount.host)
    const stats = await stat(source)
    if (stats.isDirectory() || stats.isFile()) return source
  } catch (error) {
    throw mountInvalid(mount, `host: ${mount.host} cannot be had: ${(error as Error).message}`)
  }
  throw mountInvalid(mount, `host: ${mount.host} is neither a folder nor a file, expected one of them`)
}

function refuseForbidden(mount: PoolMount, source: string, allowed: readonly string[] | undefined, own: readonly string[]): void {
  const led = source === mount.host ? '' : ` leads to ${source}, which`
  if (allowed) {
    if (!allowed.some((folder) => isWithin(source, folder))) {
      throw mountInvalid(mount, `host: ${mount.host}${led} lies outside of ${allowed.join(':')}, which TERMINAL_MOUNT_ALLOW names`)
    }
  } else if (source === '/' || protectedFolders.some((folder) => isWithin(source, folder))) {
    throw mountInvalid(mount, `host: ${mount.host}${led} is never mounted unless TERMINAL_MOUNT_ALLOW names it or a folder above it`)
  }
  // With the pool's token and the records of its servers a slot would be master of the pool.
  if (own.some((folder) => isWithin(source, folder) || isWithin(folder, source))) {
    throw mountInvalid(mount, `host: ${mount.host}${led} holds slotpool's own state, expected another folder`)
  }
}

/** Where a path leads; itself where nothing is there yet. */
async function real(path: string): Promise<string> {
  return realpath(path).catch(() => path)
}

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { toolPath } from '../../sandbox/tool-path.ts'

/** No pool and no server is called so. */
const prefix = '.doomed-'

/** `rm` alone does not get into folders that a command closed to its own user. */
const remove = 'rm -rf --one-file-system -- "$@" 2> /dev/null || { chmod -R u+rwx -- "$@"; rm -rf --one-file-system -- "$@"; }'

/** Takes a folder out of the way in one step, to a name in `aside` under which nobody looks for it. One that is gone already is fine. */
export function doom(folder: string, aside: string): void {
  try {
    renameSync(folder, join(aside, `${prefix}${randomBytes(8).toString('hex')}`))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

/**
 * Begins to remove all that was doomed there, also by a process that died over it, and does not wait: slots may have left more than one wants to
 * wait for.
 */
export function removeDoomed(aside: string): void {
  const doomed = readdirSync(aside)
    .filter((name) => name.startsWith(prefix))
    .map((name) => join(aside, name))
  if (doomed.length === 0) return
  const child = spawn('bash', ['--norc', '-c', remove, 'slotpool', ...doomed], {
    detached: true,
    cwd: '/',
    stdio: 'ignore',
    env: { PATH: toolPath },
  })
  child.on('error', () => {})
  child.unref()
}

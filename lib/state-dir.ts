import { chmodSync, mkdirSync, statSync } from 'node:fs'
import { userInfo } from 'node:os'
import { dirname, isAbsolute, join } from 'node:path'
import type { BackendName } from './config.ts'
import { SlotpoolError } from './errors.ts'

/**
 * Where slotpool keeps what outlives a process: `$XDG_STATE_HOME/slotpool`, else `~/.local/state/slotpool`. Only names it.
 *
 * A relative `XDG_STATE_HOME` counts as unset, as the XDG base directory specification wants it.
 */
export function stateDir(env: NodeJS.ProcessEnv = process.env): string {
  const base = env.XDG_STATE_HOME
  if (base !== undefined && isAbsolute(base)) return join(base, 'slotpool')
  const { HOME: home } = env
  return join(home !== undefined && isAbsolute(home) ? home : userInfo().homedir, '.local', 'state', 'slotpool')
}

/**
 * Makes a folder in the state folder, with those above it; nobody but its owner may enter it.
 *
 * @throws {SlotpoolError} as {@link stateFolderError} says, with the first that could not be made.
 */
export function makeStateFolder(folder: string, env: NodeJS.ProcessEnv = process.env): void {
  // One by one: told to make all, Node hides why it could not (read-only), and never ends where there can be none, as in /proc.
  const missing: string[] = []
  for (let path = folder; !isThere(path); path = dirname(path)) missing.unshift(path)
  for (const path of missing) {
    try {
      mkdirSync(path, { mode: 0o700 })
    } catch (error) {
      // Another process may make it meanwhile.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !isThere(path)) throw stateFolderError(path, error, env)
    }
  }
}

function isThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined
  } catch {
    // Below a file, say: that it cannot be made says more.
    return path === dirname(path)
  }
}

/**
 * The folder of one pool on one backend, `<state>/<backend>/<pool>`; made when it is not there. Nobody but its owner may enter it.
 *
 * @throws {SlotpoolError} `BACKEND_UNAVAILABLE` when it cannot be made; `CONFIG_INVALID` when `XDG_STATE_HOME` names something else than a folder.
 */
export function poolDir(pool: string, backend: BackendName, env: NodeJS.ProcessEnv = process.env): string {
  const root = stateDir(env)
  const folder = join(root, backend, pool)
  makeStateFolder(folder, env)
  try {
    // The mode above counts only for what was made by this very call.
    for (const path of [root, folder]) if ((statSync(path).mode & 0o077) !== 0) chmodSync(path, 0o700)
  } catch (error) {
    throw stateFolderError(folder, error, env)
  }
  return folder
}

/** Why a folder in the state folder cannot be made or read: `CONFIG_INVALID` where `XDG_STATE_HOME` is to blame, else `BACKEND_UNAVAILABLE`. */
export function stateFolderError(folder: string, error: unknown, env: NodeJS.ProcessEnv = process.env): SlotpoolError {
  const base = env.XDG_STATE_HOME
  if (base !== undefined && isAbsolute(base) && isNoFolder(base)) {
    return new SlotpoolError(
      'CONFIG_INVALID',
      `XDG_STATE_HOME: got ${JSON.stringify(base)}, which is no folder; expected one of one's own`,
      {
        cause: error,
        details: { variable: 'XDG_STATE_HOME', got: base, expected: 'a folder' },
      },
    )
  }
  return new SlotpoolError(
    'BACKEND_UNAVAILABLE',
    `the state folder ${folder} cannot be made or read: ${(error as Error).message}; expected a folder of one's own, set XDG_STATE_HOME to one`,
    { cause: error, retryable: false, details: { path: folder } },
  )
}

/** Whether something else is there, or on the way there. */
function isNoFolder(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() === false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOTDIR'
  }
}

import { spawn } from 'node:child_process'
import { chmod, chown, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { SlotpoolError } from '../errors.ts'
import type { SlotFolders, SlotIdentity } from './jail/jail.ts'
import { toolPath } from './tool-path.ts'

/** Makes the folders of a slot below `root`, owned by the slot's user and closed to everybody else. */
export async function makeSlotFolders(root: string, identity: SlotIdentity): Promise<SlotFolders> {
  const folders = { root, workspace: join(root, 'workspace'), home: join(root, 'home'), tmp: join(root, 'tmp') }
  await mkdir(root, { recursive: true })
  // The slot's user passes through; it cannot list what else is there.
  await chmod(root, 0o711)
  for (const folder of [folders.workspace, folders.home, folders.tmp]) {
    await mkdir(folder, { mode: 0o700 })
    await chown(folder, identity.uid, identity.gid)
  }
  return folders
}

/**
 * Deletes a slot's folders whatever its commands made of them. `rm` walks by descriptor, so neither a link nor a tree deeper than a path
 * may be long leads it astray. An ordinary user must first be let into folders that a command closed.
 *
 * @throws {SlotpoolError} `INTERNAL` when something is left.
 */
export async function wipeSlotFolders(root: string): Promise<void> {
  const first = await run('rm', ['-rf', '--one-file-system', '--', root])
  if (first === null) return
  await run('chmod', ['-R', 'u+rwx', '--', root])
  const second = await run('rm', ['-rf', '--one-file-system', '--', root])
  if (second !== null) throw new SlotpoolError('INTERNAL', `could not wipe ${root}: ${second}`, { cause: first })
}

/** Null when it exited with 0, else what it said. */
async function run(file: string, args: string[]): Promise<string | null> {
  const child = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe'], env: { PATH: toolPath } })
  const [said, code] = await Promise.all([
    text(child.stderr),
    new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve)),
  ])
  return code === 0 ? null : said.trim() || `${file} exited with ${code}`
}

import { existsSync, lstatSync, readlinkSync } from 'node:fs'
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { runTool } from '../run-tool.ts'

/**
 * What of the system around the server a slot is built on. `image`: all of it, since the image is there for slots. `host`: the programs
 * and settings of somebody's machine, and nothing else of it.
 */
export type SystemKind = 'image' | 'host'

/** A folder of the slot that is an overlay: written to by the slot, and on `lower` until then. */
export interface SystemLayer {
  /** Where it is in the slot. */
  target: string
  /** Folders, the uppermost first. */
  lower: readonly string[]
}

const programFolders = ['/usr', '/opt', '/nix', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32']

/** What package managers keep about what is installed: without it, nothing can be installed. */
const packageFolders = [
  '/var/lib/dpkg',
  '/var/lib/apt',
  '/var/lib/rpm',
  '/var/lib/dnf',
  '/var/lib/pacman',
  '/var/lib/apk',
  '/var/cache/debconf',
]

/** Where files lie that only some may read. Programs are for everybody. */
const guardedFolders = ['/etc', '/opt', '/usr/local', ...packageFolders]

/** The layers of a container's own image: one, of everything. */
export const imageLayers: readonly SystemLayer[] = [{ target: '/', lower: ['/'] }]

/**
 * The layers of a host's system. `folder` is where the ground they stand on is made, anew at each start: an empty root, and for each
 * folder a veil that hides what not everybody may read, since in its slot the slot's root may read everything.
 */
export async function hostLayers(folder: string): Promise<SystemLayer[]> {
  await rm(folder, { recursive: true, force: true })
  const ground = join(folder, 'ground')
  const veil = join(folder, 'veil')
  for (const path of ['dev', 'proc', 'sys', 'run', 'home', 'mnt', 'srv', 'etc', 'var/lib', 'var/cache', 'var/log', 'var/spool']) {
    await mkdir(join(ground, path), { recursive: true })
  }
  for (const [path, mode] of [
    ['root', 0o700],
    ['tmp', 0o1777],
    ['var/tmp', 0o1777],
  ] as const) {
    await mkdir(join(ground, path), { mode })
  }
  const layers: SystemLayer[] = [{ target: '/', lower: [ground] }]
  for (const path of [...programFolders, '/etc', ...packageFolders]) {
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (found?.isSymbolicLink()) await symlink(readlinkSync(path), join(ground, path))
    else if (found?.isDirectory()) {
      await mkdir(join(ground, path), { recursive: true })
      await mkdir(join(veil, path), { recursive: true })
      layers.push({ target: path, lower: [join(veil, path), path] })
    }
  }
  await hide(veil, await unreadable(guardedFolders.filter((path) => existsSync(path))))
  await writeShadow(veil)
  return layers
}

/** Files and folders that not everybody may read, the uppermost of each tree. */
async function unreadable(folders: readonly string[]): Promise<string[]> {
  const closed = '( -type f ! -perm -o=r ) -o ( -type d ( ! -perm -o=r -o ! -perm -o=x ) -prune )'.split(' ')
  const found = await runTool('find', [...folders, '-xdev', '(', ...closed, ')', '-print0'])
  return found.split('\0').filter((path) => path !== '')
}

/** overlayfs takes a character device 0/0 in an upper layer for the absence of what lies below. */
async function hide(veil: string, paths: readonly string[]): Promise<void> {
  for (const folder of new Set(paths.map((path) => join(veil, dirname(path))))) await mkdir(folder, { recursive: true })
  for (const path of paths) await runTool('mknod', [join(veil, path), 'c', '0', '0'])
}

/** Passwords stay hidden, but programs that add users want the files: all accounts locked. */
async function writeShadow(veil: string): Promise<void> {
  for (const [names, file] of [
    ['/etc/passwd', 'etc/shadow'],
    ['/etc/group', 'etc/gshadow'],
  ] as const) {
    if (!existsSync(names)) continue
    const entries = (await runTool('cut', ['-d:', '-f1', names])).split('\n').filter((name) => name !== '')
    const rest = file === 'etc/shadow' ? '*:1::::::' : '*::'
    await rm(join(veil, file), { force: true })
    await writeFile(join(veil, file), entries.map((name) => `${name}:${rest}\n`).join(''), { mode: 0o640 })
  }
}

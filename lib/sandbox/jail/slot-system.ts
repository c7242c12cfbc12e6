import { existsSync, lstatSync, readlinkSync } from 'node:fs'
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
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
  /** A folder of the machine below these. The slot gets at what everybody may read there, and at nothing else. Default: none. */
  machine?: string
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

/** The layers of a container's own image: one, of everything. */
export const imageLayers: readonly SystemLayer[] = [{ target: '/', lower: ['/'] }]

/**
 * The layers of a host's system. `folder` is where the ground they stand on is made, anew at each start: an empty root, a copy of the
 * settings, and for what package managers keep a veil that hides what not everybody may read, since they want to make those files
 * themselves (locks, most of them). Settings are where secrets are put most often, and often only closed once written: hence the copy.
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
  const settings = join(folder, 'etc')
  await runTool(['cp', '--archive', '--one-file-system', '--', '/etc', settings])
  for (const path of await unreadable([settings])) await rm(path, { recursive: true, force: true })
  await writeShadow(settings)
  layers.push({ target: '/etc', lower: [settings] })
  for (const path of [...programFolders, ...packageFolders]) {
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (found?.isSymbolicLink()) await symlink(readlinkSync(path), join(ground, path))
    else if (found?.isDirectory()) {
      await mkdir(join(ground, path), { recursive: true })
      const veiled = packageFolders.includes(path)
      if (veiled) await mkdir(join(veil, path), { recursive: true })
      layers.push({ target: path, lower: veiled ? [join(veil, path)] : [], machine: path })
    }
  }
  await hide(veil, await unreadable(packageFolders.filter((path) => existsSync(path))))
  return layers
}

/** Files and folders that not everybody may read, the uppermost of each tree. */
async function unreadable(folders: readonly string[]): Promise<string[]> {
  const closed = '( -type f ! -perm -o=r ) -o ( -type d ( ! -perm -o=r -o ! -perm -o=x ) -prune )'.split(' ')
  const found = await runTool(['find', ...folders, '-xdev', '(', ...closed, ')', '-print0'])
  return found.split('\0').filter((path) => path !== '')
}

/** overlayfs takes a character device 0/0 in an upper layer for the absence of what lies below. */
async function hide(veil: string, paths: readonly string[]): Promise<void> {
  for (const folder of new Set(paths.map((path) => join(veil, dirname(path))))) await mkdir(folder, { recursive: true })
  for (const path of paths) await runTool(['mknod', join(veil, path), 'c', '0', '0'])
}

/** Passwords stay hidden, but programs that add users want the files: all accounts locked. */
async function writeShadow(settings: string): Promise<void> {
  for (const [names, file, rest] of [
    ['passwd', 'shadow', '*:1::::::'],
    ['group', 'gshadow', '*::'],
  ] as const) {
    const found = await readFile(join(settings, names), 'utf8').catch(() => null)
    if (found === null) continue
    const entries = found.split('\n').flatMap((line) => (line === '' ? [] : [`${line.split(':')[0]}:${rest}\n`]))
    await writeFile(join(settings, file), entries.join(''), { mode: 0o640 })
  }
}

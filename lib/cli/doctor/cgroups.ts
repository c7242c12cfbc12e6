import { mkdtemp, readFile, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { asRoot } from './as-root.ts'
import { type CgroupHierarchy, cgroupHierarchies } from './cgroup-hierarchies.ts'
import type { Check } from './check.ts'
import type { Machine } from './machine.ts'

const name = 'cgroups'

/** The controllers that a slot's limits are made of. */
const wanted = ['cpu', 'memory', 'pids'] as const

/** Where this process reads about its control groups. */
interface CgroupFiles {
  mountInfo: string
  ownGroups: string
}

const ownFiles: CgroupFiles = { mountInfo: '/proc/self/mountinfo', ownGroups: '/proc/self/cgroup' }

/** Whether control groups are mounted, of which version, with which controllers, and whether this user may make groups in its own. */
export async function checkCgroups(machine: Machine, files: CgroupFiles = ownFiles): Promise<Check> {
  if (machine.platform !== 'linux') return { name, found: false, version: null, detail: 'are of Linux only', mend: null }
  const [mountInfo, ownGroups] = await Promise.all([readFile(files.mountInfo, 'utf8'), readFile(files.ownGroups, 'utf8')])
  const hierarchies = cgroupHierarchies(mountInfo, ownGroups)
  if (hierarchies.length === 0) {
    const mend = asRoot(machine, 'mount -t cgroup2 none /sys/fs/cgroup')
    return { name, found: false, version: null, detail: 'no control groups are mounted', mend }
  }
  const holders = await controllerHolders(hierarchies)
  const absent = wanted.filter((controller) => !holders.has(controller))
  const closed: string[] = []
  for (const controller of wanted) {
    const holder = holders.get(controller)
    if (holder !== undefined && !(await maySplit(holder))) closed.push(controller)
  }
  const has = holders.size > 0 ? `controllers ${[...holders.keys()].sort().join(', ')}` : 'no controllers'
  const lacks = absent.length > 0 ? `; ${absent.join(', ')} missing` : ''
  const rights = closed.length > 0 ? `; this user may not limit ${closed.join(', ')}` : '; writable by this user'
  return {
    name,
    found: true,
    version: versionOf(hierarchies),
    detail: `${has}${lacks}${holders.size > 0 ? rights : ''}`,
    mend: absent.length > 0 ? await enable(machine, hierarchies, absent) : open(machine, closed[0] && holders.get(closed[0])),
  }
}

function versionOf(hierarchies: readonly CgroupHierarchy[]): string {
  const versions = new Set(hierarchies.map(({ version }) => version))
  return versions.size === 2 ? 'hybrid' : `v${[...versions][0]}`
}

/** Which tree has each controller. */
async function controllerHolders(hierarchies: readonly CgroupHierarchy[]): Promise<Map<string, CgroupHierarchy>> {
  const holders = new Map<string, CgroupHierarchy>()
  for (const hierarchy of hierarchies) {
    const controllers = hierarchy.version === 1 ? hierarchy.controllers : await unifiedControllers(hierarchy.ownFolder)
    for (const controller of controllers) if (!holders.has(controller)) holders.set(controller, hierarchy)
  }
  return holders
}

async function unifiedControllers(folder: string): Promise<string[]> {
  const text = await readFile(join(folder, 'cgroup.controllers'), 'utf8').catch(() => '')
  return text.split(/\s+/).filter((word) => word !== '')
}

/** Tried by making a group and removing it: modes do not tell of read-only mounts and of groups that were delegated. */
async function maySplit({ ownFolder }: CgroupHierarchy): Promise<boolean> {
  try {
    await rmdir(await mkdtemp(join(ownFolder, 'slotpool-doctor-')))
    return true
  } catch {
    return false
  }
}

async function enable(machine: Machine, hierarchies: readonly CgroupHierarchy[], absent: readonly string[]): Promise<string | null> {
  const unified = hierarchies.find(({ version }) => version === 2)
  if (unified === undefined) return null
  const offered = await unifiedControllers(unified.mountPoint)
  if (!absent.every((controller) => offered.includes(controller))) return null
  return asRoot(machine, `echo ${absent.map((one) => `+${one}`).join(' ')} > ${unified.mountPoint}/cgroup.subtree_control`)
}

function open(machine: Machine, closed: CgroupHierarchy | '' | undefined): string | null {
  if (!closed) return null
  if (machine.isRoot) return `mount -o remount,bind,rw ${closed.mountPoint}`
  // A shell in a group of its own, which systemd hands to its user.
  return machine.init === 'systemd' && closed.version === 2 ? 'systemd-run --user --scope -p Delegate=yes "$SHELL"' : null
}

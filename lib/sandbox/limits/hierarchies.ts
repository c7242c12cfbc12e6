import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'

/** A tree of control groups, as the kernel has it mounted (cgroups(7)). Version 1 has one for each controller or few, version 2 one for all. */
export interface Hierarchy {
  version: 1 | 2
  /** The kernel's names of its controllers: `memory`, `pids`, `cpu`, `freezer` and others. On version 2, those that its groups could have. */
  controllers: ReadonlySet<string>
  /** Where it is mounted. */
  mount: string
  /** The folder of the group that this process is in. */
  own: string
  /** Whether that is the first group of the machine, outside of every container. */
  ownIsRoot: boolean
}

/**
 * The hierarchies mounted at or below `root` in which this process can find itself.
 *
 * @param root Where control groups are mounted; default `/sys/fs/cgroup`.
 */
export async function findHierarchies(root = '/sys/fs/cgroup'): Promise<Hierarchy[]> {
  const [mountinfo, memberships] = await Promise.all([
    readFile('/proc/self/mountinfo', 'utf8').catch(() => ''),
    readFile('/proc/self/cgroup', 'utf8').catch(() => ''),
  ])
  const found: Hierarchy[] = []
  for (const one of cgroupMounts(mountinfo)) {
    if (one.mount !== root && !one.mount.startsWith(`${root}/`)) continue
    const path = membership(memberships, one)
    const below = path === undefined ? undefined : pathBelow(path, one.root)
    if (below === undefined) continue
    const own = resolve(one.mount, `.${below}`)
    const controllers = one.version === 1 ? one.options : await listed(join(own, 'cgroup.controllers'))
    // A mount over another hides it.
    const same = found.findIndex(({ mount }) => mount === one.mount)
    if (same >= 0) found.splice(same, 1)
    const ownIsRoot = !(await isReadable(join(own, one.version === 2 ? 'cgroup.events' : 'cgroup.procs'))) || (await isV1Root(own))
    found.push({ version: one.version, controllers: new Set(controllers), mount: one.mount, own, ownIsRoot })
  }
  return found
}

interface CgroupMount {
  version: 1 | 2
  mount: string
  /** The group that is mounted: `/`, or a container's own. */
  root: string
  options: string[]
}

function cgroupMounts(mountinfo: string): CgroupMount[] {
  const mounts: CgroupMount[] = []
  for (const line of mountinfo.split('\n')) {
    const [before, after] = line.split(' - ')
    const [type, , options] = (after ?? '').split(' ')
    if (type !== 'cgroup' && type !== 'cgroup2') continue
    const [, , , root, mount] = (before ?? '').split(' ')
    mounts.push({
      version: type === 'cgroup2' ? 2 : 1,
      mount: unescapeOctal(mount ?? ''),
      root: unescapeOctal(root ?? ''),
      options: (options ?? '').split(','),
    })
  }
  return mounts
}

/** The path of this process's group in the hierarchy, from `/proc/self/cgroup`: lines like `4:memory:/docker/ID`, and `0::/…` on version 2. */
function membership(text: string, { version, options }: CgroupMount): string | undefined {
  for (const line of text.split('\n')) {
    const [, id, controllers, path] = /^(\d+):([^:]*):(.*)$/.exec(line) ?? []
    if (version === 2 ? id === '0' && controllers === '' : controllers?.split(',').some((name) => name !== '' && options.includes(name))) {
      return path
    }
  }
  return undefined
}

/** Undefined when `path` is outside of what is mounted. */
function pathBelow(path: string, root: string): string | undefined {
  if (path.split('/').includes('..')) return undefined
  if (root === '/') return path
  if (path === root) return '/'
  return path.startsWith(`${root}/`) ? path.slice(root.length) : undefined
}

/** mountinfo writes blanks and backslashes as three octal digits. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
}

async function listed(file: string): Promise<string[]> {
  return (await readFile(file, 'utf8').catch(() => '')).split(/\s+/).filter((name) => name !== '')
}

async function isReadable(file: string): Promise<boolean> {
  return readFile(file).then(
    () => true,
    () => false,
  )
}

/** Only the first group of a hierarchy of version 1 has this file. */
async function isV1Root(folder: string): Promise<boolean> {
  return isReadable(join(folder, 'cgroup.sane_behavior'))
}

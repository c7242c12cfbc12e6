import { join } from 'node:path'

/** One mounted tree of control groups. */
export interface CgroupHierarchy {
  version: 1 | 2
  /** Where it is mounted. */
  mountPoint: string
  /** The folder of the group that this process is in. */
  ownFolder: string
  /** For version 1, what it controls. Version 2 says it in files. */
  controllers: string[]
}

/**
 * The trees of control groups that are mounted here, each with this process's own group.
 *
 * @param mountInfo the text of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
 * @param ownGroups the text of `/proc/self/cgroup` (cgroups(7)).
 */
export function cgroupHierarchies(mountInfo: string, ownGroups: string): CgroupHierarchy[] {
  const groups = ownGroups.split('\n').map((line) => /^(\d+):([^:]*):(.*)$/.exec(line))
  const hierarchies: CgroupHierarchy[] = []
  for (const line of mountInfo.split('\n')) {
    const [before, after] = line.split(' - ')
    const [type, , superOptions = ''] = (after ?? '').split(' ')
    const [, , , root, mountPoint] = (before ?? '').split(' ')
    if ((type !== 'cgroup' && type !== 'cgroup2') || root === undefined || mountPoint === undefined) continue
    const options = superOptions.split(',')
    const own = groups.find((group) => (type === 'cgroup2' ? group?.[1] === '0' : shares(group?.[2], options)))
    hierarchies.push({
      version: type === 'cgroup2' ? 2 : 1,
      mountPoint,
      ownFolder: join(mountPoint, below(root, own?.[3] ?? '/')),
      controllers: type === 'cgroup2' ? [] : (own?.[2] ?? '').split(',').filter((one) => one !== '' && !one.startsWith('name=')),
    })
  }
  return hierarchies
}

function shares(controllers: string | undefined, options: readonly string[]): boolean {
  return controllers !== undefined && controllers !== '' && controllers.split(',').every((one) => options.includes(one))
}

/** The path of a group below the one that is mounted; the mounted one itself where ours lies outside of it, as in many containers. */
function below(root: string, group: string): string {
  if (group.startsWith('/..')) return '/'
  if (root === '/') return group
  return group === root || group.startsWith(`${root}/`) ? group.slice(root.length) : '/'
}

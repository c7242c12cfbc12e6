import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { endGroup } from './end-group.ts'
import { tryRemove } from './group-folder.ts'
import { findHierarchies, type Hierarchy } from './hierarchies.ts'
import { isServerLeaf, namePrefix } from './owned-name.ts'

/**
 * Removes the control groups of a server of this machine that is gone, wherever they are, and ends what is in them. One that ended by itself has
 * left none; of one that was killed the next server would remove them, if it starts in the same place.
 *
 * @param owner what was the server, named for good by when it started.
 * @param root Where control groups are mounted; default `/sys/fs/cgroup`.
 * @throws {SlotpoolError} `JAIL_FAILED` when processes in them are still there after ten seconds.
 */
export async function removeGroupsOf(owner: { pid: number; startTicks: number }, root?: string): Promise<void> {
  const prefix = await namePrefix(owner.pid, owner.startTicks)
  const hierarchies = (await findHierarchies(root)).filter(hasGroupsOfOurs)
  await Promise.all(hierarchies.map((hierarchy) => removeBelow(hierarchy, hierarchy.mount, prefix)))
}

function hasGroupsOfOurs({ version, controllers }: Hierarchy): boolean {
  return version === 2 || ['memory', 'pids', 'cpu', 'freezer'].some((name) => controllers.has(name))
}

async function removeBelow(hierarchy: Hierarchy, folder: string, prefix: string): Promise<void> {
  // Groups of others come and go meanwhile.
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
  for (const entry of entries) {
    if (!entry.isDirectory()) continue
    const path = join(folder, entry.name)
    if (!entry.name.startsWith(prefix)) await removeBelow(hierarchy, path, prefix)
    else if (isServerLeaf(entry.name)) await tryRemove(path)
    else await endGroup(hierarchy, path)
  }
}

import { execFile } from 'node:child_process'
import { mkdir, readdir } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { toolPath } from '../tool-path.ts'
import { cpuSetting } from './cpu-weight.ts'
import { type Distribution, distributeControllers } from './distribute-controllers.ts'
import { endGroup } from './end-group.ts'
import { enforcedControllers } from './enforced-controllers.ts'
import { tryRemove, trySet } from './group-folder.ts'
import { groupParent } from './group-parent.ts'
import type { Hierarchy } from './hierarchies.ts'
import { isMachineNamespace, isOrphaned, isServerLeaf } from './owned-name.ts'

/** The group of one server in one hierarchy: below the one that the server is in or one above that, and above those of its slots. */
export interface BaseGroup {
  hierarchy: Hierarchy
  folder: string
  /** The controllers that groups in it have, and whose limits hold. */
  controllers: ReadonlySet<string>
  close(): Promise<void>
}

/**
 * Makes the server's group in a hierarchy, after those that servers that were killed have left there are removed.
 *
 * @param wanted The controllers to have, by the kernel's names.
 * @throws what kept it from being made.
 */
export async function makeBaseGroup(hierarchy: Hierarchy, name: string, wanted: readonly string[]): Promise<BaseGroup> {
  if (hierarchy.ownIsRoot && !(await isMachineNamespace())) {
    throw new Error(`${hierarchy.own} is the machine's own group: what is made there would outlive this container`)
  }
  const parent = hierarchy.version === 2 ? await groupParent(hierarchy, wanted) : hierarchy.own
  const folder = join(parent, name)
  await makeWritable(hierarchy, folder)
  let distribution: Distribution = { controllers: hierarchy.controllers, undo: async () => {} }
  const close = async () => {
    await endGroup(hierarchy, folder)
    await distribution.undo()
  }
  try {
    await removeOrphans(hierarchy, parent)
    if (hierarchy.version === 2) distribution = await distributeControllers(hierarchy, parent, name, wanted)
    // Before Linux 5.11 a group counts what is below it only when told to.
    else if (hierarchy.controllers.has('memory')) await trySet(join(folder, 'memory.use_hierarchy'), 1)
    // All slots together weigh as much as one ordinary process on each processor, so that the server is heard beside busy ones.
    if (distribution.controllers.has('cpu')) {
      const { file, value } = cpuSetting(hierarchy.version, Math.min(100 * availableParallelism(), 10_000))
      await trySet(join(folder, file), value)
    }
    return { hierarchy, folder, controllers: await enforcedControllers(hierarchy.version, folder, distribution.controllers), close }
  } catch (error) {
    await close().catch(() => {})
    throw error
  }
}

/** In a container the hierarchies are mounted read-only; with CAP_SYS_ADMIN that can be changed, for this container alone. */
async function makeWritable({ mount }: Hierarchy, folder: string): Promise<void> {
  try {
    await mkdir(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EROFS') throw error
    await promisify(execFile)('mount', ['-o', 'remount,bind,rw', mount], { env: { PATH: toolPath } })
    await mkdir(folder)
  }
}

async function removeOrphans(hierarchy: Hierarchy, parent: string): Promise<void> {
  for (const place of new Set([hierarchy.own, parent])) {
    for (const name of await readdir(place)) {
      if (!(await isOrphaned(name))) continue
      const folder = join(place, name)
      // One that cannot be removed is left to the next start; it keeps nothing from working.
      await (isServerLeaf(name) ? tryRemove(folder) : endGroup(hierarchy, folder)).catch(() => {})
    }
  }
}

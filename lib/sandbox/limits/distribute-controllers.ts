import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { joinFile, readGroupFile, tryRemove, trySet } from './group-folder.ts'
import { ownsAllIn, shared } from './group-parent.ts'
import type { Hierarchy } from './hierarchies.ts'
import { serverLeaf } from './owned-name.ts'

/** What the groups of a server's slots have of version 2's controllers. */
export interface Distribution {
  controllers: ReadonlySet<string>
  /** Puts back what was changed outside of the server's own group, which has been removed. */
  undo(): Promise<void>
}

/** How often processes that fork while they are moved are looked for again. */
const rounds = 20

/**
 * Gives the groups in `parent`'s group `name` those of the `wanted` controllers that can be had. A group with processes in it has none to
 * give (cgroups(7), "no internal processes"), so where the server's own group is to give them and does not yet, its processes move to a
 * leaf. That is done only where all of them are the server's, or the container's: elsewhere the slots go without.
 */
export async function distributeControllers(
  hierarchy: Hierarchy,
  parent: string,
  name: string,
  wanted: readonly string[],
): Promise<Distribution> {
  const { own } = hierarchy
  const folder = join(parent, name)
  const given = await shared(parent)
  const offered = parent === own ? wanted.filter((one) => hierarchy.controllers.has(one)) : wanted.filter((one) => given.includes(one))
  const missing = offered.filter((one) => !given.includes(one))
  const enabled: string[] = []
  const leaf = join(own, serverLeaf(name))
  let moved = false
  if (missing.length > 0) {
    moved = !hierarchy.ownIsRoot && (await moveToLeaf(hierarchy, leaf))
    for (const one of missing) if (await trySet(join(own, 'cgroup.subtree_control'), `+${one}`)) enabled.push(one)
  }
  const controllers = new Set<string>()
  for (const one of offered) {
    if ((given.includes(one) || enabled.includes(one)) && (await trySet(join(folder, 'cgroup.subtree_control'), `+${one}`)))
      controllers.add(one)
  }
  const undo = async () => {
    for (const one of enabled) await trySet(join(own, 'cgroup.subtree_control'), `-${one}`)
    if (moved) await moveAll(leaf, own)
    await tryRemove(leaf)
  }
  if (controllers.size === 0) await undo()
  return { controllers, undo }
}

async function moveToLeaf(hierarchy: Hierarchy, leaf: string): Promise<boolean> {
  const { own } = hierarchy
  if (!(await ownsAllIn(hierarchy))) return false
  await mkdir(leaf)
  await moveAll(own, leaf)
  return true
}

async function moveAll(from: string, to: string): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const pids = await directMembers(from)
    if (pids.length === 0) return
    // One that has just ended, or lives in another PID namespace, cannot be moved.
    for (const pid of pids) if (pid > 0) await trySet(joinFile(2, to), pid)
  }
}

/** Not those of the groups below: `from` has the leaf itself below it. */
async function directMembers(folder: string): Promise<number[]> {
  return (await readGroupFile(join(folder, 'cgroup.procs')))
    .split('\n')
    .filter((line) => line !== '')
    .map(Number)
}

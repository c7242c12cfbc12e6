import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { processStat } from '../processes.ts'
import { groupMembers, joinFile, readGroupFile, tryRemove, trySet } from './group-folder.ts'
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
 * Gives the groups below `folder` those of the `wanted` controllers that can be had. A group with processes in it has none to give
 * (cgroups(7), "no internal processes"), so where the server's own group has not given them to those below already, its processes move to
 * a leaf. That is done only where all of them are the server's, or the container's: elsewhere the slots go without.
 */
export async function distributeControllers(
  hierarchy: Hierarchy,
  folder: string,
  name: string,
  wanted: readonly string[],
): Promise<Distribution> {
  const { own } = hierarchy
  const offered = wanted.filter((one) => hierarchy.controllers.has(one))
  const given = await controlled(own)
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

async function controlled(folder: string): Promise<string[]> {
  return (await readGroupFile(join(folder, 'cgroup.subtree_control'))).split(/\s+/)
}

async function moveToLeaf(hierarchy: Hierarchy, leaf: string): Promise<boolean> {
  const { own, mount } = hierarchy
  // What a container may see of the hierarchy begins with its own group.
  const all = own === mount
  if (!all && !(await onlyOwnProcesses(own))) return false
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

async function onlyOwnProcesses(own: string): Promise<boolean> {
  for (const pid of await groupMembers(own)) {
    let ancestor = pid
    while (ancestor > 1 && ancestor !== process.pid) ancestor = (await processStat(ancestor))?.parent ?? process.pid
    if (ancestor !== process.pid) return false
  }
  return true
}

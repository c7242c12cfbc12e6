import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { processStat } from '../processes.ts'
import { groupMembers, readGroupFile } from './group-folder.ts'
import type { Hierarchy } from './hierarchies.ts'
import { isMachineNamespace } from './owned-name.ts'

/**
 * The group in which a server makes its own on version 2. That is the one it is in, so that what bounds the server bounds its slots, where
 * that can share out the `wanted` controllers. On a machine with systemd a login session or a service holds processes of others, too, which
 * nobody but their owner may move out of the way (cgroups(7), "no internal processes"). There root takes the nearest group above that shares
 * them already, as long as none that is left has a limit: its slots would be free of that.
 */
export async function groupParent(hierarchy: Hierarchy, wanted: readonly string[]): Promise<string> {
  const { own, mount, ownIsRoot } = hierarchy
  const lacking = (given: readonly string[]) => wanted.filter((one) => !given.includes(one)).length
  let best = { folder: own, lacking: lacking(await shared(own)) }
  if (best.lacking === 0 || ownIsRoot || (await ownsAllIn(hierarchy))) return own
  if (process.geteuid?.() !== 0 || !(await isMachineNamespace())) return own
  for (let folder = own; folder !== mount && best.lacking > 0 && !(await isLimited(folder)); ) {
    folder = dirname(folder)
    const there = { folder, lacking: lacking(await shared(folder)) }
    if (there.lacking < best.lacking) best = there
  }
  return best.folder
}

/** Whether all processes of the server's own group are the server's, or those of its container. */
export async function ownsAllIn({ own, mount }: Pick<Hierarchy, 'own' | 'mount'>): Promise<boolean> {
  // What a container may see of the hierarchy begins with its own group.
  if (own === mount) return true
  for (const pid of await groupMembers(own)) {
    let ancestor = pid
    while (ancestor > 1 && ancestor !== process.pid) ancestor = (await processStat(ancestor))?.parent ?? process.pid
    if (ancestor !== process.pid) return false
  }
  return true
}

/** The controllers that a group shares out among those below it. */
export async function shared(folder: string): Promise<string[]> {
  return (await readGroupFile(join(folder, 'cgroup.subtree_control'))).split(/\s+/)
}

/** Of what is not bounded a file of limits says `max`, perhaps with a name or a period; of huge pages, the greatest number of bytes. */
const unbounded = /\bmax( \d+)?$|^9223372036854\d{6}$/

async function isLimited(folder: string): Promise<boolean> {
  const files = (await readdir(folder)).filter((name) => /\.(max|high)$/.test(name))
  const texts = await Promise.all(files.map((name) => readGroupFile(join(folder, name))))
  return texts.some((text) => text.split('\n').some((line) => line !== '' && !unbounded.test(line)))
}

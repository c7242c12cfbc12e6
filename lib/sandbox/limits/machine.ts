import { readFile, statfs } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { readCount } from './group-folder.ts'
import { ownHardLimits } from './hard-limits.ts'
import { findHierarchies, type Hierarchy } from './hierarchies.ts'

/** What there is to share out among slots. */
export interface Machine {
  /** What the container may use, or the machine has. */
  memoryBytes: number
  /** What is free where the slots lie, for other users than root. */
  freeDiskBytes: number
  /** How many files a process may have open at most. */
  openFiles: number
}

/**
 * @param slotsFolder Where the slots lie.
 * @param root Where control groups are mounted; default `/sys/fs/cgroup`.
 */
export async function readMachine(slotsFolder: string, root?: string): Promise<Machine> {
  const { bavail, bsize } = await statfs(slotsFolder)
  const limits = await Promise.all((await findHierarchies(root)).map(memoryLimit))
  return { memoryBytes: Math.min(totalmem(), ...limits), freeDiskBytes: bavail * bsize, openFiles: ownHardLimits().n }
}

/** The least of what the server's own group and those above are bound to. Infinity when they are not. */
async function memoryLimit({ version, controllers, own, mount }: Hierarchy): Promise<number> {
  if (version === 1) {
    if (!controllers.has('memory')) return Number.POSITIVE_INFINITY
    return (await readCount(join(own, 'memory.stat'), 'hierarchical_memory_limit')) || Number.POSITIVE_INFINITY
  }
  let least = Number.POSITIVE_INFINITY
  for (let folder = own; folder.startsWith(mount); folder = dirname(folder)) {
    const text = await readFile(join(folder, 'memory.max'), 'latin1').catch(() => 'max')
    if (/^\d+$/.test(text.trim())) least = Math.min(least, Number(text))
  }
  return least
}

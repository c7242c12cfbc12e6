import { createHash } from 'node:crypto'

/** A container that tasks can be at home in. */
export interface Home {
  /** What `homeHash` makes of the container's id. */
  hash: number
}

/** 32 bits of an id of a container or task. Part of the protocol: all managers of a pool must find the same home for a task. */
export function homeHash(id: string): number {
  return createHash('sha256').update(id).digest().readUInt32BE(0)
}

/**
 * The home of a task among `homes`, as every manager finds it that knows the same ones in the same order: that of the highest weight. When a
 * container comes or goes, only the tasks that come to it or leave it change their home.
 */
export function homeOf<T extends Home>(taskId: string, homes: readonly T[]): T | undefined {
  const task = homeHash(taskId)
  let home: T | undefined
  let highest = -1
  for (const one of homes) {
    const own = weight(task, one.hash)
    if (own <= highest) continue
    home = one
    highest = own
  }
  return home
}

/** The first `count` of `homes` by weight: the home of the task, then those that would be were it not there. */
export function homeOrder<T extends Home>(taskId: string, homes: readonly T[], count = homes.length): T[] {
  const task = homeHash(taskId)
  const first: { home: T; weight: number }[] = []
  for (const home of homes) {
    const own = weight(task, home.hash)
    // Of a thousand, a few are wanted: they are not all put in order.
    if (first.length === count && own <= (first[count - 1] as { weight: number }).weight) continue
    const at = first.findIndex((one) => one.weight < own)
    first.splice(at === -1 ? first.length : at, 0, { home, weight: own })
    first.length = Math.min(first.length, count)
  }
  return first.map((one) => one.home)
}

/** Evenly spread over 32 bits: the last step of MurmurHash3. */
function weight(task: number, container: number): number {
  let bits = task ^ container
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return (bits ^ (bits >>> 16)) >>> 0
}

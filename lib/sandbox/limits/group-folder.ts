import { readFileSync, statSync } from 'node:fs'
import { readdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** The file by which a process joins a group: it writes `0`. */
export function joinFile(version: 1 | 2, folder: string): string {
  // On version 1 a process of one thread moves by `tasks` without the lock for which `cgroup.procs` waits, milliseconds long, for every
  // processor of the machine. Version 2 has only that.
  return join(folder, version === 1 ? 'tasks' : 'cgroup.procs')
}

/** Sets a file of a group. @returns whether the kernel took it. */
export async function trySet(file: string, value: string | number): Promise<boolean> {
  try {
    // Without O_CREAT: the kernel makes these files.
    await writeFile(file, String(value), { flag: 'r+' })
    return true
  } catch {
    return false
  }
}

/** The text of a file of a group; empty when there is none. */
export async function readGroupFile(file: string): Promise<string> {
  return readFile(file, 'latin1').catch(() => '')
}

/** A number from a file of lines `name number`; 0 when there is none. */
export async function readCount(file: string, name: string): Promise<number> {
  return countIn(await readGroupFile(file), name)
}

/** A number from lines `name number`; 0 when none has the name. */
export function countIn(text: string, name: string): number {
  const line = text.split('\n').find((one) => one.startsWith(`${name} `))
  return line === undefined ? 0 : Number(line.slice(name.length + 1))
}

/** The groups directly below one; none when it is gone. */
export async function groupsBelow(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true })
    return entries.filter((entry) => entry.isDirectory()).map((entry) => join(folder, entry.name))
  } catch (error) {
    if (isGone(error)) return []
    throw error
  }
}

/** The processes in a group and below it. A zombie is not among them: the kernel takes it out. */
export async function groupMembers(folder: string): Promise<number[]> {
  let text = ''
  try {
    text = await readFile(join(folder, 'cgroup.procs'), 'latin1')
  } catch (error) {
    if (!isGone(error)) throw error
  }
  const below = await Promise.all((await groupsBelow(folder)).map(groupMembers))
  const own = text.split('\n').filter((line) => line !== '')
  return [...new Set([...own.map(Number), ...below.flat()])]
}

/** Whether no process is in a group, and no other group below it; false when it is gone. */
export function isEmptyNow(folder: string): boolean {
  try {
    // A folder has one link for each below it, besides its own two.
    return statSync(folder).nlink === 2 && readFileSync(join(folder, 'cgroup.procs'), 'latin1') === ''
  } catch {
    return false
  }
}

/** Removes a group and those below it. @returns false while a process is in one of them. */
export async function tryRemove(folder: string): Promise<boolean> {
  const below = await Promise.all((await groupsBelow(folder)).map(tryRemove))
  if (below.includes(false)) return false
  try {
    await rmdir(folder)
    return true
  } catch (error) {
    if (isGone(error)) return true
    if ((error as NodeJS.ErrnoException).code === 'EBUSY') return false
    throw error
  }
}

/** ENODEV: the group was removed between opening a file of it and reading that. */
function isGone(error: unknown): boolean {
  return ['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')
}

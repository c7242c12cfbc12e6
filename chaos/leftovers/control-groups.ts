import { execFile } from 'node:child_process'
import type { NamedProcess } from './processes.ts'

/** The control groups of these servers: a group has its owner's id and the time of its start in its name. */
export async function groupsOf(owners: readonly NamedProcess[]): Promise<string[]> {
  const names = owners.map(({ pid, startTicks }) => `-${pid}-${startTicks}-`)
  const folders = await find()
  return folders.filter((folder) => names.some((name) => folder.includes(name)))
}

/** Those that are gone while they are looked for are no failure of the look. */
function find(): Promise<string[]> {
  return new Promise((resolve) => {
    const words = ['/sys/fs/cgroup', '-type', 'd', '-name', 'slotpool-*', '-prune']
    execFile('find', words, { maxBuffer: 64 * 1024 * 1024 }, (_, stdout) => resolve(stdout.split('\n').filter((one) => one !== '')))
  })
}

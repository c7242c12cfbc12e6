import { readlink } from 'node:fs/promises'
import { allProcesses, pidNamespace, processStat } from '../processes.ts'

const pattern = /^slotpool-(\d+)-(\d+)-(\d+)-\d+(\.server)?$/

let made = 0

/**
 * A new name for groups that this process makes. It tells others when their owner has gone: a process is named for good by its PID
 * namespace, its id in there and when it started.
 */
export async function ownedName(): Promise<string> {
  const stat = await processStat(process.pid)
  return `${await namePrefix(process.pid, stat?.startTicks ?? 0)}${made++}`
}

/** How the names begin of all groups that a process of this PID namespace makes, or made. */
export async function namePrefix(pid: number, startTicks: number): Promise<string> {
  return `slotpool-${await pidNamespaceNumber()}-${pid}-${startTicks}-`
}

/**
 * Whether groups of this name had an owner that is surely gone. Of one in another PID namespace only root on the machine can say so: nothing
 * that it sees is in that namespace any more.
 */
export async function isOrphaned(name: string): Promise<boolean> {
  const [, namespace, pid, startTicks] = pattern.exec(name) ?? []
  if (namespace === undefined) return false
  if (namespace !== (await pidNamespaceNumber())) return isNamespaceGone(namespace)
  const stat = await processStat(Number(pid))
  return stat === undefined || stat.startTicks !== Number(startTicks) || stat.state === 'Z' || stat.state === 'X'
}

/** The leaf into which an owner moved processes that were there before it: they are not the owner's to end. */
export function isServerLeaf(name: string): boolean {
  return pattern.exec(name)?.[4] !== undefined
}

export const serverLeaf = (owned: string): string => `${owned}.server`

async function isNamespaceGone(namespace: string): Promise<boolean> {
  if (process.geteuid?.() !== 0 || !(await isMachineNamespace())) return false
  const present = await Promise.all((await allProcesses()).map(pidNamespace))
  return !present.includes(`pid:[${namespace}]`)
}

/** Whether the processes of this PID namespace are those of the whole machine. The kernel gives that namespace this number. */
export async function isMachineNamespace(): Promise<boolean> {
  return (await pidNamespaceNumber()) === '4026531836'
}

async function pidNamespaceNumber(): Promise<string> {
  return /\d+/.exec(await readlink('/proc/self/ns/pid'))?.[0] ?? '0'
}

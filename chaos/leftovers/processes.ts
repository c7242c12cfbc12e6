import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { allProcesses, processStat } from '../../lib/sandbox/processes.ts'

/** A process, named for good by when it started. */
export interface NamedProcess {
  pid: number
  startTicks: number
}

/** Whether it is still there. One that has ended and that nobody has taken note of is not. */
export async function isRunning({ pid, startTicks }: NamedProcess): Promise<boolean> {
  const stat = await processStat(pid)
  return stat !== undefined && stat.startTicks === startTicks && stat.state !== 'Z' && stat.state !== 'X'
}

/** The processes that have one of these words in their command line, their environment or the names of their control groups. */
export async function processesWith(words: readonly string[]): Promise<string[]> {
  const pids = (await allProcesses()).filter((pid) => pid !== process.pid)
  const found = await Promise.all(pids.map((pid) => describe(pid, words)))
  return found.filter((one) => one !== undefined)
}

async function describe(pid: number, words: readonly string[]): Promise<string | undefined> {
  const [line, environment, groups] = await Promise.all(['cmdline', 'environ', 'cgroup'].map((name) => read(pid, name)))
  const said = `${line}\0${environment}\n${groups}`
  // tsx's compiler ends by itself when whom it compiled for has.
  if (!words.some((word) => said.includes(word)) || basename(line?.split('\0')[0] ?? '') === 'esbuild') return undefined
  return `process ${pid}: ${line?.replaceAll('\0', ' ').trim().slice(0, 200)}`
}

/** The words with which a process was started, each ended by a NUL; empty when it is gone. */
export function commandLine(pid: number): Promise<string> {
  return read(pid, 'cmdline')
}

/** Empty when it is gone or not ours to read. */
function read(pid: number, name: string): Promise<string> {
  return readFile(`/proc/${pid}/${name}`, 'latin1').catch(() => '')
}

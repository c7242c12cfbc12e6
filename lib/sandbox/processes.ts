import { readdir, readFile, readlink } from 'node:fs/promises'

/** What `/proc/PID/stat` tells of a process (proc_pid_stat(5)). */
export interface ProcessStat {
  pid: number
  state: string
  parent: number
  session: number
  /** Clock ticks from boot to the start of the process: with the pid, it names a process for good. */
  startTicks: number
}

/** The ids of all processes that this one can see. */
export async function allProcesses(): Promise<number[]> {
  const names = await readdir('/proc')
  return names.filter((name) => /^[0-9]+$/.test(name)).map(Number)
}

/** The stat of one process; undefined when it is gone. */
export async function processStat(pid: number): Promise<ProcessStat | undefined> {
  const text = await orGone(readFile(`/proc/${pid}/stat`, 'latin1'))
  if (text === undefined) return undefined
  // The second field is the name in brackets and may itself hold brackets and blanks, so the fields are counted from its end.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return {
    pid,
    state: fields[0] ?? '?',
    parent: Number(fields[1]),
    session: Number(fields[3]),
    startTicks: Number(fields[19]),
  }
}

/** Identifies the PID namespace of a process, or undefined when it is gone or not ours to look at. */
export function pidNamespace(pid: number): Promise<string | undefined> {
  return orGone(readlink(`/proc/${pid}/ns/pid`))
}

/** The real uid of a process; undefined when it is gone. */
export async function processUid(pid: number): Promise<number | undefined> {
  const status = await orGone(readFile(`/proc/${pid}/status`, 'latin1'))
  const uid = status?.match(/^Uid:\s+(\d+)/m)?.[1]
  return uid === undefined ? undefined : Number(uid)
}

/** Whether a process was started with this entry, `NAME=value`, in its environment. */
export async function startedWith(pid: number, entry: string): Promise<boolean> {
  return (await environment(pid)).includes(entry)
}

/** Whether a process was started with an entry in its environment that begins so. */
export async function startedWithin(pid: number, prefix: string): Promise<boolean> {
  return (await environment(pid)).some((entry) => entry.startsWith(prefix))
}

async function environment(pid: number): Promise<string[]> {
  return (await orGone(readFile(`/proc/${pid}/environ`, 'latin1')))?.split('\0') ?? []
}

/** Sends a signal; a process that is already gone is no error. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function orGone<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    // ESRCH: it ended between open and read. EACCES, EPERM: it is somebody else's.
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}

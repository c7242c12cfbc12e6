import { readFile, readlink, statfs, writeFile } from 'node:fs/promises'

const kibibyte = 1024
/** What the kernel keeps for each thread on x86-64 and arm64 to run system calls on. */
const kernelStackBytes = 16 * kibibyte

/** Memory of processes, in bytes. */
export interface Footprint {
  /** Proportional set size: what is shared counts in parts. */
  pss: number
  /** Page tables and kernel stacks. */
  kernel: number
  /** What lies in filesystems in memory that only these processes see. */
  tmpfs: number
  processes: number
}

export const totalOf = ({ pss, kernel, tmpfs }: Footprint): number => pss + kernel + tmpfs

/** What processes hold of the machine's memory. Filesystems that `beside`, which is not one of them, also has are left out. */
export async function footprint(pids: readonly number[], beside: number): Promise<Footprint> {
  const sum: Footprint = { pss: 0, kernel: 0, tmpfs: 0, processes: 0 }
  const known = new Set((await memoryFilesystems(beside)).map(({ device }) => device))
  const namespaces = new Set<string>()
  for (const pid of pids) {
    const pss = await ofField(pid, 'smaps_rollup', 'Pss')
    // It ended meanwhile, or is a zombie, which has no memory any more.
    if (pss === undefined) continue
    sum.processes++
    sum.pss += pss
    const threads = ((await ofField(pid, 'status', 'Threads')) ?? 0) / kibibyte
    sum.kernel += ((await ofField(pid, 'status', 'VmPTE')) ?? 0) + threads * kernelStackBytes
    const namespace = await readlink(`/proc/${pid}/ns/mnt`).catch(() => '')
    if (namespaces.has(namespace)) continue
    namespaces.add(namespace)
    for (const { device, path } of await memoryFilesystems(pid)) {
      if (known.has(device)) continue
      known.add(device)
      const stat = await statfs(`/proc/${pid}/root${path}`).catch(() => undefined)
      if (stat) sum.tmpfs += (stat.blocks - stat.bfree) * stat.bsize
    }
  }
  return sum
}

/** How far a process's resident memory rises from now on. */
export interface Peak {
  bytes(): Promise<number>
}

/** @throws {Error} when its peak cannot be set back, which takes root. */
export async function memoryPeak(pid: number): Promise<Peak> {
  // proc_pid_clear_refs(5): 5 sets the peak to what is resident now.
  await writeFile(`/proc/${pid}/clear_refs`, '5')
  const before = await ofField(pid, 'status', 'VmRSS')
  return {
    async bytes() {
      const peak = await ofField(pid, 'status', 'VmHWM')
      if (before === undefined || peak === undefined) throw new Error(`process ${pid} is gone`)
      return peak - before
    },
  }
}

export const proportionalBytes = (pid: number): Promise<number | undefined> => ofField(pid, 'smaps_rollup', 'Pss')

/** A field in kB of one of a process's files, in bytes; undefined when the process is gone. @throws {Error} when it is not ours to read. */
async function ofField(pid: number, file: string, field: string): Promise<number | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/${file}`, 'latin1')
    const value = new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(text)?.[1]
    return value === undefined ? undefined : Number(value) * kibibyte
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}

/** Filesystems in memory that a process sees, by device. */
async function memoryFilesystems(pid: number): Promise<{ device: string; path: string }[]> {
  const table = await readFile(`/proc/${pid}/mountinfo`, 'utf8').catch(() => '')
  return table.split('\n').flatMap((line) => {
    const [mount = '', source = ''] = line.split(' - ')
    const [, , device = '', , path = ''] = mount.split(' ')
    return source.startsWith('tmpfs ') ? [{ device, path }] : []
  })
}

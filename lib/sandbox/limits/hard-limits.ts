import { readFileSync } from 'node:fs'

/** What a process may not go above, by the name that bash's `ulimit` has for it; Infinity where there is no bound. */
export interface HardLimits {
  /** Open files. */
  n: number
  /** Processes of the user. */
  u: number
  /** The length of a file, in bytes. */
  f: number
}

const rows = { n: 'Max open files', u: 'Max processes', f: 'Max file size' } as const
const reported = { n: 'open_files', u: 'max_user_processes', f: 'file_size_blocks' } as const

/**
 * The hard limits of this process, which those it starts inherit. Infinity where they cannot be read.
 *
 * @param file Where the kernel lists them.
 */
export function ownHardLimits(file = '/proc/self/limits'): HardLimits {
  let text: string
  try {
    text = readFileSync(file, 'latin1')
  } catch {
    return reportedHardLimits()
  }
  const of = (name: string): number => {
    // Name, soft limit, hard limit, unit; the name has blanks.
    const hard = new RegExp(`^${name}\\s+\\S+\\s+(\\d+)`, 'm').exec(text)?.[1]
    return hard === undefined ? Number.POSITIVE_INFINITY : Number(hard)
  }
  return { n: of(rows.n), u: of(rows.u), f: of(rows.f) }
}

/** gVisor has no such file. Node's report of itself asks for the limits, and takes some milliseconds for all the rest that is in it. */
function reportedHardLimits(): HardLimits {
  const { userLimits } = process.report.getReport() as unknown as { userLimits?: Record<string, { hard: unknown } | undefined> }
  const of = (name: string): number => {
    const hard = userLimits?.[name]?.hard
    return typeof hard === 'number' ? hard : Number.POSITIVE_INFINITY
  }
  return { n: of(reported.n), u: of(reported.u), f: of(reported.f) }
}

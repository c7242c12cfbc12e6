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

/** The hard limits of this process, which those it starts inherit. Infinity where they cannot be read. */
export function ownHardLimits(): HardLimits {
  let text = ''
  try {
    text = readFileSync('/proc/self/limits', 'latin1')
  } catch {
    // No Linux: there is no sandbox server either.
  }
  const of = (name: string): number => {
    // Name, soft limit, hard limit, unit; the name has blanks.
    const hard = new RegExp(`^${name}\\s+\\S+\\s+(\\d+)`, 'm').exec(text)?.[1]
    return hard === undefined ? Number.POSITIVE_INFINITY : Number(hard)
  }
  return { n: of(rows.n), u: of(rows.u), f: of(rows.f) }
}

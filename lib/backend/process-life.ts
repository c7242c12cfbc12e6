import { readFileSync } from 'node:fs'

/** One process for good: its id may be used again, its id and the clock ticks from boot to its start may not. */
export interface ProcessName {
  pid: number
  startTicks: number
}

/** `stopped` lives and does nothing until it is told to go on (SIGSTOP, SIGCONT). */
export type ProcessLife = 'runs' | 'stopped' | 'gone'

/** What became of the very process that is named. */
export function processLife({ pid, startTicks }: ProcessName): ProcessLife {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return 'gone'
  }
  // As in `processStat`, which does not answer at once.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (fields[0] === 'Z' || fields[0] === 'X' || Number(fields[19]) !== startTicks) return 'gone'
  return fields[0] === 'T' ? 'stopped' : 'runs'
}

/** Whether the very process that is named is still there. */
export function isAlive(name: ProcessName): boolean {
  return processLife(name) !== 'gone'
}

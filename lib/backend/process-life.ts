import { readFileSync } from 'node:fs'
import { SlotpoolError } from '../errors.ts'

/** One process for good: its id may be used again, its id and the clock ticks from boot to its start may not. */
export interface ProcessName {
  pid: number
  startTicks: number
}

/** `stopped` lives and does nothing until it is told to go on (SIGSTOP, SIGCONT). */
export type ProcessLife = 'runs' | 'stopped' | 'gone'

/** What became of the very process that is named. @throws {SlotpoolError} `BACKEND_UNAVAILABLE` when that cannot be found out. */
export function processLife({ pid, startTicks }: ProcessName): ProcessLife {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    // It may go while it is read.
    if (code === 'ENOENT' || code === 'ESRCH') return 'gone'
    throw new SlotpoolError('BACKEND_UNAVAILABLE', `it cannot be found out whether process ${pid} lives: ${message}`, { cause })
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

import { utimesSync, writeFileSync } from 'node:fs'
import type { Clock } from './clock.ts'

/** How often a sandbox server gives one. */
export const signOfLifeMs = 30_000

/**
 * Has a file say when this process last lived, by its time of change, from now on: for those who cannot look for the process, since they are on another
 * machine that shares the folder, or in another PID namespace. It keeps no process alive, and ends where the file's folder is gone.
 */
export function giveSignsOfLife(path: string, clock: Clock): void {
  try {
    const now = new Date()
    writeFileSync(path, '', { flag: 'a', mode: 0o600 })
    utimesSync(path, now, now)
  } catch {
    return
  }
  clock.after(signOfLifeMs, () => giveSignsOfLife(path, clock))
}

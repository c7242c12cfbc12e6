import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { here } from '../process-place.ts'

const file = (folder: string): string => join(folder, 'engine')

/** Engines, and machines that share a home folder, have pools of the same names; what one of them lacks another may have. */
const mark = (address: string): string => `${here().machine} ${address}\n`

/** Notes down at which engine the pool is whose folder this is, unless that is known. */
export function noteEngine(folder: string, address: string): void {
  try {
    writeFileSync(file(folder), mark(address), { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

/** Whether the pool whose folder this is was made at that engine, as far as that is known. */
export function isOfEngine(folder: string, address: string): boolean {
  try {
    return readFileSync(file(folder), 'utf8') === mark(address)
  } catch {
    return true
  }
}

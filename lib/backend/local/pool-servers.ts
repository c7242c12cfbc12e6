import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { SlotpoolError } from '../../errors.ts'
import { signOfLifeMs } from '../../sandbox/sign-of-life.ts'
import { stateFolderError } from '../../state-dir.ts'
import { type ProcessLife, processLife } from '../process-life.ts'
import { seenFromHere } from '../process-place.ts'
import { readRecord, type ServerRecord, sinceSignOfLifeMs } from './server-record.ts'

/** A server of a pool as its folder tells of it. */
export interface PoolServer {
  index: number
  folder: string
  /** Undefined while it is being started, and when its starter died then. */
  record: ServerRecord | undefined
  life: ProcessLife
}

/**
 * The servers of the pool whose folder this is, in order of their index; none when there is no such folder.
 *
 * @throws {SlotpoolError} `CONFIG_INVALID` or `BACKEND_UNAVAILABLE` when the folder cannot be read; `BACKEND_UNAVAILABLE` when servers of another machine
 *   or PID namespace live there.
 */
export function poolServers(poolFolder: string): PoolServer[] {
  return serverIndexes(poolFolder).map((index) => {
    const folder = join(poolFolder, String(index))
    const record = readRecord(folder)
    return { index, folder, record, life: record === undefined ? 'gone' : lifeOf(folder, record) }
  })
}

/** Of a server that cannot be looked for from here, its signs of life tell, and to touch what is its own would be to end tasks of others. */
function lifeOf(folder: string, record: ServerRecord): ProcessLife {
  const seen = seenFromHere(record.place)
  if (seen === 'looked for') return processLife(record)
  if (seen === 'gone' || sinceSignOfLifeMs(folder) > 4 * signOfLifeMs) return 'gone'
  throw new SlotpoolError(
    'BACKEND_UNAVAILABLE',
    `${folder} is that of a sandbox server on another machine or in another PID namespace (machine ${record.place.machine}); ` +
      'expected a state folder that no other has: set XDG_STATE_HOME',
    { retryable: false, details: { folder, machine: record.place.machine } },
  )
}

function serverIndexes(poolFolder: string): number[] {
  try {
    const names = readdirSync(poolFolder).filter((name) => /^[0-9]+$/.test(name))
    return names.map(Number).sort((a, b) => a - b)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw stateFolderError(poolFolder, error)
  }
}

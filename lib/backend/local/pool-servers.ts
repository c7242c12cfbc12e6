import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { stateFolderError } from '../../state-dir.ts'
import { type ProcessLife, processLife } from '../process-life.ts'
import { readRecord, type ServerRecord } from './server-record.ts'

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
 * @throws {SlotpoolError} `CONFIG_INVALID` or `BACKEND_UNAVAILABLE` when the folder cannot be read.
 */
export function poolServers(poolFolder: string): PoolServer[] {
  return serverIndexes(poolFolder).map((index) => {
    const folder = join(poolFolder, String(index))
    const record = readRecord(folder)
    return { index, folder, record, life: record === undefined ? 'gone' : processLife(record) }
  })
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

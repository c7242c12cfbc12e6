import { closeSync, openSync, readSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A server notes two lines for each lease, and a pool may live for months. */
const mostBytes = 1024 * 1024
/** What is kept of a log that has become too long, aside, until the next time. */
const keptBytes = 256 * 1024

/** Where the server in a folder writes what it has to say. */
export function serverLog(folder: string): string {
  return join(folder, 'server.log')
}

/**
 * Cuts a log that has become too long: its end is kept in `server.log.1`. The server opened it for appending, so it goes on at the new end; a
 * line that it writes at that very moment may be lost.
 */
export function boundLog(folder: string): void {
  const path = serverLog(folder)
  try {
    const { size } = statSync(path)
    if (size <= mostBytes) return
    const tail = Buffer.alloc(keptBytes)
    const log = openSync(path, 'r')
    try {
      readSync(log, tail, 0, keptBytes, size - keptBytes)
    } finally {
      closeSync(log)
    }
    writeFileSync(`${path}.1`, tail.subarray(tail.indexOf('\n') + 1), { mode: 0o600 })
    truncateSync(path)
  } catch {
    // It went with its server, or the disk is full: it is tried again.
  }
}

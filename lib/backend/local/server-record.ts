import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { poolTerms } from '../../pool-terms.ts'
import { here, processPlace } from '../process-place.ts'
import { readJsonRecord } from '../read-json-record.ts'

const schema = z.object({
  id: z.string(),
  pid: z.int(),
  /** With the pid it names the process for good, even when the pid is used again. */
  startTicks: z.int(),
  /** Where that process is: others may share the folder with it, and see nothing of it. */
  place: processPlace.default(here),
  socketPath: z.string(),
  /** The server's own folder: slots and pipes. */
  stateDir: z.string(),
  /** It has said that it serves. */
  ready: z.boolean(),
  version: z.object({ id: z.string(), generation: z.int(), image: z.null() }).default({ id: '', generation: 0, image: null }),
  shape: z.object({ ...poolTerms.shape, image: z.null(), slots: z.int(), isolation: z.string(), network: z.string() }),
})

/** What is known of one local sandbox server: `server.json` in the folder of its index. */
export type ServerRecord = z.infer<typeof schema>

/** What the server touches from time to time, in the folder of its record. */
export const aliveFile = (folder: string): string => join(folder, 'alive')

const file = (folder: string): string => join(folder, 'server.json')

/** The record in a folder, as {@link readJsonRecord} reads it. */
export function readRecord(folder: string): ServerRecord | undefined {
  return readJsonRecord(file(folder), schema)
}

/** Writes the record as a whole: no reader meets half of one. */
export async function writeRecord(folder: string, record: ServerRecord): Promise<void> {
  // Two that are written at once, be it by one process, do not share it.
  const temporary = join(folder, `server.json.${randomBytes(8).toString('hex')}`)
  await writeFile(temporary, JSON.stringify(record), { mode: 0o600 })
  await rename(temporary, file(folder))
}

/** How long ago the server of the record in a folder gave a sign of life: it was written down, or has touched its file. */
export function sinceSignOfLifeMs(folder: string): number {
  const times = [file(folder), aliveFile(folder)].map((path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0)
  return Date.now() - Math.max(...times)
}

import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { poolTerms } from '../../pool-terms.ts'
import { processStat } from '../../sandbox/processes.ts'

const schema = z.object({
  id: z.string(),
  pid: z.int(),
  /** With the pid it names the process for good, even when the pid is used again. */
  startTicks: z.int(),
  socketPath: z.string(),
  /** The server's own folder: slots and pipes. */
  stateDir: z.string(),
  /** It has said that it serves. */
  ready: z.boolean(),
  shape: poolTerms.extend({ image: z.null(), slots: z.int(), isolation: z.string(), network: z.string() }),
})

/** What is known of one local sandbox server: `server.json` in the folder of its index. */
export type ServerRecord = z.infer<typeof schema>

const file = (folder: string): string => join(folder, 'server.json')

/** The record in a folder; undefined when there is none or it is no record. */
export async function readRecord(folder: string): Promise<ServerRecord | undefined> {
  try {
    return schema.parse(JSON.parse(await readFile(file(folder), 'utf8')))
  } catch {
    return undefined
  }
}

/** Writes the record as a whole: no reader meets half of one. */
export async function writeRecord(folder: string, record: ServerRecord): Promise<void> {
  const temporary = join(folder, `server.json.${process.pid}`)
  await writeFile(temporary, JSON.stringify(record), { mode: 0o600 })
  await rename(temporary, file(folder))
}

/** Whether the very process of the record still runs. */
export async function isAlive(record: ServerRecord): Promise<boolean> {
  const stat = await processStat(record.pid)
  return stat !== undefined && stat.startTicks === record.startTicks && stat.state !== 'Z'
}

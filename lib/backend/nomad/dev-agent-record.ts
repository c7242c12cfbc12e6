import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { here, processPlace } from '../process-place.ts'
import { readJsonRecord } from '../read-json-record.ts'

const schema = z.object({
  pid: z.int(),
  startTicks: z.int(),
  place: processPlace.default(here),
  address: z.string(),
  startedAt: z.string(),
})

/** What is known of the agent that slotpool started: `agent.json` in its folder. */
export type DevAgentRecord = z.infer<typeof schema>

const file = (folder: string): string => join(folder, 'agent.json')

/** As {@link readJsonRecord} reads it. */
export function readDevAgentRecord(folder: string): DevAgentRecord | undefined {
  return readJsonRecord(file(folder), schema)
}

/** Writes it as a whole, by the one who has the folder's lock. */
export async function writeDevAgentRecord(folder: string, record: DevAgentRecord): Promise<void> {
  const temporary = `${file(folder)}.new`
  await writeFile(temporary, JSON.stringify(record), { mode: 0o600 })
  await rename(temporary, file(folder))
}

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { ProcessName } from '../process-life.ts'
import { here, processPlace } from '../process-place.ts'
import { readJsonRecord } from '../read-json-record.ts'

const schema = z.object({
  pid: z.int(),
  startTicks: z.int(),
  socketPath: z.string(),
  /** The folder of its pool, which may be in anybody's state folder. */
  poolFolder: z.string(),
  ...processPlace.shape,
})

/** Whose a folder in `/var/lib/slotpool` is: `owner.json` in it. The records of its pool may be gone while it is there. */
export type OwnerRecord = z.infer<typeof schema>

const file = (stateDir: string): string => join(stateDir, 'owner.json')

/** Written before the server makes anything in the folder: what has no owner's record is nobody's to judge. */
export function writeOwner(stateDir: string, server: ProcessName & Pick<OwnerRecord, 'socketPath' | 'poolFolder'>): void {
  const { pid, startTicks, socketPath, poolFolder } = server
  writeFileSync(file(stateDir), JSON.stringify({ pid, startTicks, socketPath, poolFolder, ...here() }), { mode: 0o600 })
}

/** As {@link readJsonRecord} reads it. */
export function readOwner(stateDir: string): OwnerRecord | undefined {
  return readJsonRecord(file(stateDir), schema)
}

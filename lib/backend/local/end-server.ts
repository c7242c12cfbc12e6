import { rm } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { signalProcess } from '../../sandbox/processes.ts'
import { wipeSlotFolders } from '../../sandbox/slot-folders.ts'
import { isAlive, type ServerRecord } from './server-record.ts'

/** How long a server may take to end its leases and wipe its slots. Its jails end with it however it ends. */
const patienceMs = 20_000

/** Ends a server, if it still runs, and removes all that is left of it. */
export async function endServer(folder: string, record: ServerRecord | undefined): Promise<void> {
  if (record) {
    const killAt = Date.now() + patienceMs
    for (let signal: NodeJS.Signals = 'SIGTERM'; await isAlive(record); await delay(10)) {
      if (Date.now() > killAt) signal = 'SIGKILL'
      signalProcess(record.pid, signal)
    }
    await rm(record.socketPath, { force: true })
    await wipeSlotFolders(record.stateDir)
  }
  await rm(folder, { recursive: true, force: true })
}

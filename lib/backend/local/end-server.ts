import { rm } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { allProcesses, signalProcess, startedWithin } from '../../sandbox/processes.ts'
import { wipeSlotFolders } from '../../sandbox/slot-folders.ts'
import { terminateAll } from '../../sandbox/terminate.ts'
import { isAlive, type ServerRecord } from './server-record.ts'

/** How long a server may take to end its leases and wipe its slots. */
const patienceMs = 20_000

/** Ends a server, if it still runs, and removes all that is left of it. */
export async function endServer(folder: string, record: ServerRecord | undefined): Promise<void> {
  if (record) {
    const killAt = Date.now() + patienceMs
    for (let signal: NodeJS.Signals = 'SIGTERM'; isAlive(record); await delay(10)) {
      if (Date.now() > killAt) signal = 'SIGKILL'
      signalProcess(record.pid, signal)
    }
    // Jails end with their server. Where slots have none, what a server that was killed left behind is known by its workspace.
    await terminateAll(async () => {
      const pids = await allProcesses()
      const left = await Promise.all(pids.map((pid) => startedWithin(pid, `SLOTPOOL_WORKSPACE=${record.stateDir}/`)))
      return pids.filter((_, index) => left[index])
    })
    await rm(record.socketPath, { force: true })
    await wipeSlotFolders(record.stateDir)
  }
  await rm(folder, { recursive: true, force: true })
}

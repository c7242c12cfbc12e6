import { rm } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { removeGroupsOf } from '../../sandbox/limits/remove-groups.ts'
import { allProcesses, signalProcess, startedWithin } from '../../sandbox/processes.ts'
import { wipeSlotFolders } from '../../sandbox/slot-folders.ts'
import { terminateAll } from '../../sandbox/terminate.ts'
import { isAlive, type ProcessName } from '../process-life.ts'
import { runsHere, seenFromHere } from '../process-place.ts'
import { readOwner } from './owner-record.ts'
import type { ServerRecord } from './server-record.ts'

/** How long a server may take to end its leases and wipe its slots. */
const patienceMs = 20_000

/** Ends a server, if it still runs, and removes all that is left of it. Its record goes last: who dies on the way leaves the rest to the next. */
export async function endServer(folder: string, record: ServerRecord | undefined): Promise<void> {
  if (record) {
    // Elsewhere its id is that of another.
    if (seenFromHere(record.place) === 'looked for') await endProcess(record)
    await endLeftBehind(record.stateDir)
    await removeGroupsOf(record)
    await rm(record.socketPath, { force: true })
    await wipeSlotFolders(record.stateDir)
  }
  await rm(folder, { recursive: true, force: true })
}

/** Ends a server that lost its pool, for somebody removed the state folder: nobody finds it but by the owner's record in its own. */
export async function endForgotten(stateDir: string): Promise<void> {
  const owner = readOwner(stateDir)
  if (owner === undefined || !runsHere(owner)) return
  await endProcess(owner)
  await endLeftBehind(stateDir)
  await wipeSlotFolders(stateDir)
}

/** Ends a server at once, whatever runs in its slots. */
export async function endProcess(server: ProcessName): Promise<void> {
  const killAt = Date.now() + patienceMs
  for (let signal: NodeJS.Signals = 'SIGINT'; isAlive(server); await delay(10)) {
    if (Date.now() > killAt) signal = 'SIGKILL'
    signalProcess(server.pid, signal)
    // One that was stopped would not hear of it.
    signalProcess(server.pid, 'SIGCONT')
  }
}

/** Ends what a server that was killed left running. Jails end with their server; where slots have none, it is known by its workspace. */
export async function endLeftBehind(stateDir: string): Promise<void> {
  await terminateAll(async () => {
    const pids = await allProcesses()
    const left = await Promise.all(pids.map((pid) => startedWithin(pid, `SLOTPOOL_WORKSPACE=${stateDir}/`)))
    return pids.filter((_, index) => left[index])
  })
}

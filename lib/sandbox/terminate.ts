import { setTimeout as delay } from 'node:timers/promises'
import { SlotpoolError } from '../errors.ts'
import { type ProcessStat, processStat, signalProcess, startedWith } from './processes.ts'

/** What tells the processes of one execution from the others in its slot. */
export interface ExecutionMarks {
  /** Lists the processes of the slot. */
  candidates: () => Promise<number[]>
  /** The process that was spawned for the execution; it leads a session of its own. */
  leader: number
  /** An entry `NAME=value` of the environment that every process of the execution inherits. */
  environmentEntry: string
}

/** How long killed processes may take to go: one that waits for a disk cannot be ended at once. */
const patienceMs = 10_000

/**
 * Ends every process of an execution: what descends from its leader, is in its session or carries its environment entry, so that neither
 * `setsid` nor a double fork gets away. Resolves when a look finds none left.
 *
 * @throws {SlotpoolError} `JAIL_FAILED` when some are still there after ten seconds.
 */
export async function terminateExecution(marks: ExecutionMarks): Promise<void> {
  const giveUpAt = Date.now() + patienceMs
  for (let pause = 1; ; pause = Math.min(pause * 2, 100)) {
    const members = await executionMembers(marks)
    if (members.length === 0) return
    if (Date.now() > giveUpAt) {
      throw new SlotpoolError('JAIL_FAILED', `${members.length} processes of an execution survived SIGKILL for ${patienceMs} ms`, {
        details: { pids: members },
      })
    }
    for (const pid of members) signalProcess(pid, 'SIGKILL')
    await delay(pause)
  }
}

/** Ends all that `candidates` lists until it lists nothing. */
export async function terminateAll(candidates: () => Promise<number[]>): Promise<void> {
  const giveUpAt = Date.now() + patienceMs
  for (let pause = 1; ; pause = Math.min(pause * 2, 100)) {
    const alive = (await stats(await candidates())).filter(isAlive)
    if (alive.length === 0) return
    if (Date.now() > giveUpAt) {
      throw new SlotpoolError('JAIL_FAILED', `${alive.length} processes of a slot survived SIGKILL for ${patienceMs} ms`)
    }
    for (const { pid } of alive) signalProcess(pid, 'SIGKILL')
    await delay(pause)
  }
}

async function executionMembers({ candidates, leader, environmentEntry }: ExecutionMarks): Promise<number[]> {
  const found = await stats([leader, ...(await candidates())])
  const members = new Set<number>([leader])
  for (const one of found) {
    if (one.session === leader || (await startedWith(one.pid, environmentEntry))) members.add(one.pid)
  }
  // Children of members, until no more turn up: a child may have a fresh session and an empty environment.
  for (let size = -1; size !== members.size; ) {
    size = members.size
    for (const one of found) if (members.has(one.parent)) members.add(one.pid)
  }
  return found.filter((one) => members.has(one.pid) && isAlive(one)).map((one) => one.pid)
}

async function stats(pids: readonly number[]): Promise<ProcessStat[]> {
  const found = await Promise.all([...new Set(pids)].map(processStat))
  return found.filter((one) => one !== undefined)
}

/** A zombie (Z) or a dead process (X) runs nothing any more; its parent has yet to take note. */
function isAlive(one: ProcessStat): boolean {
  return one.state !== 'Z' && one.state !== 'X'
}

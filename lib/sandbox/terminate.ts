import { setTimeout as delay } from 'node:timers/promises'
import { SlotpoolError } from '../errors.ts'
import { type Freezable, whileFrozen } from './freeze.ts'
import type { Jail } from './jail/jail.ts'
import { type ProcessStat, processStat, signalProcess, startedWith, startedWithin } from './processes.ts'

/** What tells the processes of one execution from the others in its slot. */
export interface ExecutionMarks {
  /** Lists the processes of the slot. */
  candidates: () => Promise<number[]>
  /** The process that was spawned for the execution; it leads a session of its own. */
  leader: number
  /** An entry `NAME=value` of the environment that every process of the execution inherits. */
  environmentEntry: string
  /** The process that adopts what is orphaned in the slot, where it has one of its own. */
  adopter?: number
  /** Its slot, where all of that can be stopped at once. */
  slot?: Pick<Jail, 'signalAll'>
}

/** How long killed processes may take to go: one that waits for a disk cannot be ended at once. */
const patienceMs = 10_000

/** After so long nothing in the slot is spared. */
const lastResortMs = 5_000

/**
 * Ends every process of an execution: what descends from its leader, is in its session, carries its environment entry, or was
 * orphaned since in a way that leaves none of these. They are stopped
 * before they are killed, so that none forks away in between: the whole slot at once where that can be done, and one by one. Where they
 * cannot be singled out within five seconds, all that runs in the slot is ended with them. Resolves when a look finds none left.
 *
 * @throws {SlotpoolError} `JAIL_FAILED` when some are still there after ten seconds.
 */
export async function terminateExecution(marks: ExecutionMarks): Promise<void> {
  const { slot, candidates } = marks
  const lastResortAt = performance.now() + lastResortMs
  await untilGone(async () => {
    if (!slot?.signalAll) return killMembers(marks)
    if (performance.now() > lastResortAt) await slot.signalAll('SIGKILL')
    return whileFrozen(slot as Freezable, candidates, () => killMembers(marks))
  })
}

async function killMembers(marks: ExecutionMarks): Promise<number> {
  const stopped = new Set<number>()
  for (;;) {
    const fresh = (await executionMembers(marks)).filter((one) => one.inside && !stopped.has(one.pid))
    if (fresh.length === 0) break
    for (const { pid } of fresh) {
      signalProcess(pid, 'SIGSTOP')
      stopped.add(pid)
    }
  }
  for (const pid of stopped) signalProcess(pid, 'SIGKILL')
  // A leader outside of the jail is our way in. It is not killed: what it has started would be left to whoever adopts orphans out there.
  // It ends by itself once that is gone, unless it was stopped along with it.
  const left = await executionMembers(marks)
  for (const { pid, inside } of left) if (!inside) signalProcess(pid, 'SIGCONT')
  // Of those inside, too, there may be new ones: the leader itself may have got there since the look before.
  return stopped.size + left.length
}

/**
 * Ends all that `candidates` lists until it lists nothing. `killAtOnce` ends all of them in one step: those that fork and exit without a
 * pause are in no list for long enough to be met one by one.
 *
 * @throws {SlotpoolError} `JAIL_FAILED` as above.
 */
export async function terminateAll(candidates: () => Promise<number[]>, killAtOnce?: () => Promise<unknown>): Promise<void> {
  await untilGone(async () => {
    await killAtOnce?.()
    const alive = (await stats(await candidates())).filter(isAlive)
    for (const { pid } of alive) signalProcess(pid, 'SIGKILL')
    return alive.length
  })
}

/** Repeats `kill`, which returns how many it still met, until it meets none. */
async function untilGone(kill: () => Promise<number>): Promise<void> {
  const giveUpAt = performance.now() + patienceMs
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 100)) {
    const met = await kill()
    if (met === 0) return
    if (performance.now() > giveUpAt) throw new SlotpoolError('JAIL_FAILED', `${met} processes survived SIGKILL for ${patienceMs / 1000} s`)
    await delay(pauseMs)
  }
}

/** The living processes of an execution, and whether each is inside of the slot. */
export async function executionMembers({
  candidates,
  leader,
  environmentEntry,
  adopter,
}: ExecutionMarks): Promise<{ pid: number; inside: boolean }[]> {
  const inside = new Set(await candidates())
  const found = await stats([leader, ...inside])
  const own = new Set<number>([leader])
  for (const one of found) {
    if (one.session === leader || (await startedWith(one.pid, environmentEntry))) own.add(one.pid)
  }
  // One that left its parent, its session and its environment behind is known by its time alone: it began after the execution, and is of no
  // other that says so.
  const since = found.find((one) => one.pid === leader)?.startTicks
  const anyEntry = environmentEntry.slice(0, environmentEntry.indexOf('=') + 1)
  for (const one of found) {
    if (adopter === undefined || one.parent !== adopter || since === undefined) continue
    // Within one tick, a hundredth of a second, the later process has the higher id.
    const later = one.startTicks > since || (one.startTicks === since && one.pid > leader)
    if (later && !(await startedWithin(one.pid, anyEntry))) own.add(one.pid)
  }
  // Children of members, until no more turn up: a child may have a fresh session and an empty environment.
  for (let size = -1; size !== own.size; ) {
    size = own.size
    for (const one of found) if (own.has(one.parent)) own.add(one.pid)
  }
  return found.filter((one) => own.has(one.pid) && isAlive(one)).map(({ pid }) => ({ pid, inside: inside.has(pid) }))
}

async function stats(pids: readonly number[]): Promise<ProcessStat[]> {
  const found = await Promise.all([...new Set(pids)].map(processStat))
  return found.filter((one) => one !== undefined)
}

/** A zombie (Z) or a dead process (X) runs nothing any more; its parent has yet to take note. */
function isAlive(one: ProcessStat): boolean {
  return one.state !== 'Z' && one.state !== 'X'
}

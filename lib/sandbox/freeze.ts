import { setTimeout as delay } from 'node:timers/promises'
import { type ProcessStat, processStat, signalProcess } from './processes.ts'

/** A slot whose processes can be stopped all at once. */
export interface Freezable {
  signalAll(signal: NodeJS.Signals): Promise<boolean>
}

/** How long the ways into a slot may take to stop after what they brought in. They do so at once; this is for a machine that is busy. */
const patienceMs = 1000

/** The last work in each frozen slot: two at once would stop each other's signals, and thaw what the other has yet to look at. */
const turns = new WeakMap<Freezable, Promise<unknown>>()

/**
 * Does `work` while every process of a slot's user is stopped; then those that it left go on. What its own tenant had stopped stays so.
 * `candidates` lists the processes of the slot. When they could not be stopped, the work is done all the same.
 */
export function whileFrozen<T>(slot: Freezable, candidates: () => Promise<number[]>, work: () => Promise<T>): Promise<T> {
  const before = turns.get(slot) ?? Promise.resolve()
  const turn = before.then(() => frozen(slot, candidates, work))
  turns.set(
    slot,
    turn.catch(() => {}),
  )
  return turn
}

async function frozen<T>(slot: Freezable, candidates: () => Promise<number[]>, work: () => Promise<T>): Promise<T> {
  const stoppedBefore = new Set((await stats(await candidates())).filter(isStopped).map(({ pid }) => pid))
  const complete = await slot.signalAll('SIGSTOP')
  let ways: number[] = []
  try {
    if (complete) ways = await stoppedWays(candidates, stoppedBefore)
    return await work()
  } finally {
    // Of those that do not stand still yet, too: one that waits for a processor would stop once it has it, and for ever.
    for (const pid of await candidates()) if (!stoppedBefore.has(pid)) signalProcess(pid, 'SIGCONT')
    for (const pid of ways) signalProcess(pid, 'SIGCONT')
  }
}

/**
 * The programs of this process's own that brought others into the slot. Such a program stops itself when what it brought in stops, and is
 * waited for: one that was still about to, when the others go on, would stop for ever.
 */
async function stoppedWays(candidates: () => Promise<number[]>, stoppedBefore: ReadonlySet<number>): Promise<number[]> {
  const inside = await stats((await candidates()).filter((pid) => !stoppedBefore.has(pid)))
  const parents = await stats([...new Set(inside.map((one) => one.parent))])
  const ways = new Set(parents.filter((one) => one.parent === process.pid).map(({ pid }) => pid))
  for (const { pid } of inside) ways.delete(pid)
  const broughtIn = inside.filter((one) => ways.has(one.parent)).map(({ pid }) => pid)
  const giveUpAt = Date.now() + patienceMs
  while (Date.now() < giveUpAt && !(await stats([...broughtIn, ...ways])).every((one) => 'TZX'.includes(one.state))) await delay(1)
  return [...ways]
}

async function stats(pids: readonly number[]): Promise<ProcessStat[]> {
  return (await Promise.all(pids.map(processStat))).filter((one) => one !== undefined)
}

function isStopped(one: ProcessStat): boolean {
  return one.state === 'T'
}

import { Random } from '../bench/random.ts'
import type { FaultName } from './faults.ts'

/** So many tasks there are for each fault. */
const tasksForEachFault = 20

/** Faults come in this part of the run: before, the pool is hardly at work, and after, there would be nobody for it to touch. */
const firstPart = 0.03
const lastPart = 0.85

/** One fault to come. What is decided by chance is decided here; whom it meets, the run decides. */
export interface PlannedFault {
  name: FaultName
  /** When so many commands are over. */
  afterCommands: number
  /** And then so long, so that it does not always come just after the end of a command. */
  delayMs: number
  /** From 0 up to but not 1: which of those that there are it is for, what it is done to, and how far it goes. */
  which: number
  where: number
  extent: number
}

/** The faults of a run, in order: the same for the same seed. Each kind comes at least once, and all about equally often. */
export function planFaults(seed: number, names: readonly FaultName[], tasks: number, commands: number): PlannedFault[] {
  // Another sequence than that of the tasks, which stay the same whatever faults there are.
  const random = new Random(seed ^ 0x5bd1e995)
  const count = Math.max(names.length, Math.round(tasks / tasksForEachFault))
  const drawn = random.shuffled(Array.from({ length: count }, (_, at) => names[at % names.length] as FaultName))
  const times = drawn.map(() => firstPart + random.next() * (lastPart - firstPart)).sort((a, b) => a - b)
  return drawn.map((name, at) => ({
    name,
    afterCommands: Math.floor((times[at] as number) * commands),
    delayMs: Math.floor(random.next() * 100),
    which: random.next(),
    where: random.next(),
    extent: random.next(),
  }))
}

import { Random } from '../bench/random.ts'

/** What a command is there for. All write their line first; then: */
export const commandKinds = ['plain', 'exit', 'large', 'background', 'timeout', 'cancel', 'limit'] as const
export type CommandKind = (typeof commandKinds)[number]

/** One command of a task. */
export interface CommandPlan {
  /** The first is 1. */
  number: number
  kind: CommandKind
  /** Before it ends. */
  sleepMs: number
  /** Of kind `exit` not 0. */
  exitCode: number
  /** What it writes into the ledger, and no other command does. */
  line: string
}

/** What a task is to do. */
export interface TaskPlan {
  id: string
  commands: CommandPlan[]
}

/** Of a hundred commands so many are of each kind; the rest is plain. */
const shares: readonly (readonly [kind: CommandKind, ofHundred: number])[] = [
  ['exit', 12],
  ['large', 5],
  ['background', 5],
  ['cancel', 4],
  ['timeout', 3],
  ['limit', 2],
]

const longestSleepMs = 200

/** The tasks of a run: the same for the same seed. */
export function planTasks(seed: number, tasks: number, commands: { least: number; most: number }): TaskPlan[] {
  const random = new Random(seed)
  return Array.from({ length: tasks }, (_, at) => {
    const id = `t${String(at + 1).padStart(5, '0')}`
    const count = commands.least + Math.floor(random.next() * (commands.most - commands.least + 1))
    return { id, commands: Array.from({ length: count }, (_, before) => planCommand(id, before + 1, random)) }
  })
}

function planCommand(task: string, number: number, random: Random): CommandPlan {
  const kind = drawKind(random.next() * 100)
  // Half of them do not sleep at all.
  const sleepMs = Math.max(0, Math.floor((random.next() - 0.5) * 2 * longestSleepMs))
  const exitCode = 1 + Math.floor(random.next() * 100)
  const nonce = Math.floor(random.next() * 2 ** 32)
    .toString(16)
    .padStart(8, '0')
  return { number, kind, sleepMs, exitCode: kind === 'exit' ? exitCode : 0, line: `${task}/${number}/${nonce}` }
}

function drawKind(drawn: number): CommandKind {
  let bound = 0
  for (const [kind, share] of shares) {
    bound += share
    if (drawn < bound) return kind
  }
  return 'plain'
}

/** By it a command that is asked for again is told from a new one. */
export function executionIdOf(task: TaskPlan, command: CommandPlan): string {
  return `${task.id}-${command.number}`
}

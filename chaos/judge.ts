import type { FailureKind } from '../lib/failure.ts'
import { digest, largeBytes, largeOutput } from './command-text.ts'
import { excuses } from './faults.ts'
import type { CommandResult, TaskFailure } from './messages.ts'
import type { CommandPlan } from './task-plan.ts'
import type { TaskRecord } from './task-record.ts'

/** All that a run has left to be judged. */
export interface Observations {
  tasks: readonly TaskRecord[]
  /** The lines of the ledger, in order. */
  ledger: readonly string[]
  /** What was still leased when all tasks had ended. */
  leased: readonly string[]
  /** What there still was of the pool when it had been taken down. */
  left: readonly string[]
  /** Faults of the plan that did not come. */
  notInjected: readonly string[]
  /** What went otherwise than it may go, whatever the faults: managers that ended by themselves, a run that stood still. */
  surprises: readonly string[]
}

/** Something that must hold, and where it does not. */
export interface Check {
  what: string
  /** Empty when it holds. */
  wrong: readonly Wrong[]
}

export interface Wrong {
  /** The task that it is about; undefined when it is about none. */
  task?: TaskRecord
  why: string
}

export function judge(observed: Observations): Check[] {
  const { tasks, leased, left, notInjected, surprises } = observed
  const inLedger = new Set(observed.ledger)
  return [
    { what: 'every task has exactly one result or one typed error', wrong: tasks.flatMap(endingsOf) },
    { what: 'every command has at most one result', wrong: tasks.flatMap(doubleResults) },
    { what: 'no line is in the ledger twice', wrong: doubleLines(observed) },
    { what: 'no line is in the ledger that no command writes', wrong: strangeLines(observed) },
    { what: 'every line that a result claims is in the ledger', wrong: tasks.flatMap((task) => unproven(task, inLedger)) },
    { what: 'no command that ended well is missing in the ledger', wrong: tasks.flatMap((task) => missing(task, inLedger)) },
    {
      what: 'no command that is said not to have been run is in the ledger',
      wrong: tasks.flatMap((task) => runAllTheSame(task, inLedger)),
    },
    { what: 'every workspace is the one that its task had before', wrong: tasks.flatMap(strangeWorkspaces) },
    { what: 'every command ended as it was to, or was met by a fault', wrong: tasks.flatMap(otherThanMeant) },
    { what: 'every task that failed was met by a fault that can have done it', wrong: tasks.flatMap(unexcused) },
    { what: 'no slot was leased when all tasks had ended', wrong: leased.map((why) => ({ why })) },
    { what: 'nothing was left when the pool had been taken down', wrong: left.map((why) => ({ why })) },
    { what: 'every fault of the plan came', wrong: notInjected.map((why) => ({ why })) },
    { what: 'nothing ended or stood still by itself', wrong: surprises.map((why) => ({ why })) },
  ]
}

/** The one ending of a task that was met by no more than it may be. */
export function endingOf(task: TaskRecord): TaskFailure | null | undefined {
  return task.endings[0]
}

function endingsOf(task: TaskRecord): Wrong[] {
  if (task.endings.length !== 1) return [{ task, why: `it ended ${task.endings.length} times; it is ${task.state}` }]
  const unfinished = task.plan.commands.filter(({ number }) => !task.results.has(number))
  if (endingOf(task) !== null || unfinished.length === 0) return []
  return [{ task, why: `it ended well without a result of command ${unfinished[0]?.number}` }]
}

function doubleResults(task: TaskRecord): Wrong[] {
  return [...task.results].flatMap(([number, results]) =>
    results.length === 1 ? [] : [{ task, why: `command ${number} has ${results.length} results` }],
  )
}

function doubleLines({ tasks, ledger }: Observations): Wrong[] {
  const seen = new Set<string>()
  const twice = new Set<string>()
  for (const line of ledger) {
    if (seen.has(line)) twice.add(line)
    seen.add(line)
  }
  return [...twice].map((line) => withTask(tasks, line, `${line} is there ${ledger.filter((one) => one === line).length} times`))
}

function strangeLines({ tasks, ledger }: Observations): Wrong[] {
  const known = new Set(tasks.flatMap((task) => task.plan.commands.map((one) => one.line)))
  return ledger.filter((line) => !known.has(line)).map((line) => ({ why: `got line ${JSON.stringify(line)}` }))
}

function withTask(tasks: readonly TaskRecord[], line: string, why: string): Wrong {
  const task = tasks.find((one) => line.startsWith(`${one.plan.id}/`))
  return task ? { task, why } : { why }
}

function unproven(task: TaskRecord, ledger: ReadonlySet<string>): Wrong[] {
  return resultsOf(task)
    .filter(({ plan, result }) => result.said.claimed && !ledger.has(plan.line))
    .map(({ plan }) => ({ task, why: `command ${plan.number} printed ${plan.line}` }))
}

function missing(task: TaskRecord, ledger: ReadonlySet<string>): Wrong[] {
  return resultsOf(task)
    .filter(({ plan, result }) => result.failure === null && !ledger.has(plan.line))
    .map(({ plan }) => ({ task, why: `command ${plan.number}` }))
}

/** Asked for once, it is for that one answer to say; asked for again, it may have been run for who asked before. */
function runAllTheSame(task: TaskRecord, ledger: ReadonlySet<string>): Wrong[] {
  return resultsOf(task)
    .filter(({ plan, result }) => result.code === 'SERVER_UNREACHABLE' && task.asked.get(plan.number) === 1 && ledger.has(plan.line))
    .map(({ plan, result }) => ({ task, why: `command ${plan.number}: ${result.message}` }))
}

/** Each command adds a line to a file of the workspace and says how many there are. One that may not have got that far leaves it open. */
function strangeWorkspaces(task: TaskRecord): Wrong[] {
  const wrong: Wrong[] = []
  let least = 0
  let most = 0
  for (const { plan, result } of resultsOf(task)) {
    const { journal, claimed } = result.said
    if (journal !== null && (journal < least + 1 || journal > most + 1)) {
      wrong.push({ task, why: `command ${plan.number} found ${journal - 1} lines of those before it, expected ${range(least, most)}` })
    }
    least = journal ?? (claimed ? least + 1 : least)
    most = journal ?? most + 1
  }
  return wrong
}

const range = (least: number, most: number): string => (least === most ? `${least}` : `${least} to ${most}`)

function otherThanMeant(task: TaskRecord): Wrong[] {
  return resultsOf(task).flatMap(({ plan, result }) => {
    const why = differenceOf(plan, result, task.asked.get(plan.number) ?? 0)
    if (why === undefined || (result.failure !== null && isExcused(task, result.failure) && result.code !== null)) return []
    return [{ task, why: `command ${plan.number}, ${plan.kind}: ${why}${result.message && `: ${result.message}`}` }]
  })
}

const meant: Record<CommandPlan['kind'], FailureKind | null> = {
  plain: null,
  large: null,
  background: null,
  exit: 'command',
  timeout: 'timeout',
  cancel: 'cancelled',
  limit: 'limit',
}

const wholeDigest = digest(largeOutput())

/** In what a command ended otherwise than it was to; undefined when it did not. */
function differenceOf(plan: CommandPlan, result: CommandResult, timesAsked: number): string | undefined {
  const { failure, code, exitCode, signal, durationMs, truncated, said } = result
  const expected = meant[plan.kind]
  if (failure !== expected) {
    const how = code ?? signal ?? (exitCode === null ? '' : `exit code ${exitCode}`)
    const after = durationMs === null ? '' : ` after ${Math.round(durationMs)} ms`
    return `got ${failure ?? 'success'}${how && ` (${how})`}${after}, expected ${expected ?? 'success'}`
  }
  // Those that are ended may be so before they have said anything.
  if (expected !== null && expected !== 'command') return undefined
  if (exitCode !== plan.exitCode) return `got exit code ${exitCode}, expected ${plan.exitCode}`
  // Output is kept within bounds for who comes back for it; that it is not all of it is said.
  if (truncated && timesAsked > 1) return undefined
  if (!said.claimed) return 'it did not print its line'
  if (plan.kind === 'large' && (said.restBytes !== largeBytes || said.restDigest !== wholeDigest)) {
    return `got ${said.restBytes} bytes of digest ${said.restDigest}, expected ${largeBytes} of ${wholeDigest}`
  }
  return undefined
}

function unexcused(task: TaskRecord): Wrong[] {
  const ending = endingOf(task)
  if (!ending || isExcused(task, ending.failure)) return []
  const met = task.touches.map((one) => one.name).join(', ') || 'no fault'
  return [{ task, why: `${ending.failure} (${ending.code}) at ${ending.at}, met by ${met}: ${ending.message}` }]
}

function isExcused(task: TaskRecord, kind: FailureKind): boolean {
  return task.touches.some(({ name }) => excuses(name, kind))
}

/** The results of a task in the order of its commands, the first of each. */
function resultsOf(task: TaskRecord): { plan: CommandPlan; result: CommandResult }[] {
  return task.plan.commands.flatMap((plan) => {
    const [result] = task.results.get(plan.number) ?? []
    return result ? [{ plan, result }] : []
  })
}

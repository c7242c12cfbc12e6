import { table } from '../bench/table.ts'
import { failureKinds } from '../lib/failure.ts'
import { type FaultName, faultNames } from './faults.ts'
import type { InjectedFault } from './injector.ts'
import { type Check, endingOf } from './judge.ts'
import type { TaskRecord } from './task-record.ts'

/** Of each check no more are told. */
const toldOfEach = 10

/** The table of faults and what became of the tasks that they met. A task that several met counts for each of them. */
export function renderTable(tasks: readonly TaskRecord[], injected: readonly InjectedFault[], checks: readonly Check[]): string[] {
  const wrong = new Set(checks.flatMap((check) => check.wrong.flatMap(({ task }) => task ?? [])))
  const row = (name: string, count: string, touched: readonly TaskRecord[]): string[] => {
    const well = touched.filter((task) => endingOf(task) === null && !wrong.has(task)).length
    return [name, count, String(touched.length), String(well), errorsOf(touched), String(touched.filter((task) => wrong.has(task)).length)]
  }
  const met = (name: FaultName): TaskRecord[] => tasks.filter((task) => task.touches.some((one) => one.name === name))
  const kinds = faultNames.filter((name) => injected.some((one) => one.plan.name === name))
  const done = (name: FaultName): number => injected.filter((one) => one.plan.name === name && one.met !== undefined).length
  const header = ['fault', 'injected', 'tasks touched', 'ended well', 'typed error', 'wrong']
  const rows = [
    ...kinds.map((name) => row(name, String(done(name)), met(name))),
    row(
      'none',
      '',
      tasks.filter((task) => task.touches.length === 0),
    ),
    row('all tasks', String(injected.filter((one) => one.met !== undefined).length), tasks),
  ]
  return table(header, rows, header.length)
}

function errorsOf(tasks: readonly TaskRecord[]): string {
  const counts = failureKinds.map((kind) => ({ kind, count: tasks.filter((task) => endingOf(task)?.failure === kind).length }))
  const some = counts.filter(({ count }) => count > 0)
  return some.length === 0 ? '-' : some.map(({ kind, count }) => `${kind} ${count}`).join(', ')
}

/** What the commands ended with, by what they were to end with. */
export function renderTotals(tasks: readonly TaskRecord[], ledgerLines: number): string[] {
  const results = tasks.flatMap((task) => [...task.results.values()].map(([first]) => first))
  const counts = [null, ...failureKinds].map((kind) => ({ kind, count: results.filter((one) => one?.failure === kind).length }))
  const commands = tasks.reduce((sum, task) => sum + task.plan.commands.length, 0)
  const asked = tasks.reduce((sum, task) => sum + [...task.asked.values()].reduce((a, b) => a + b, 0), 0)
  return [
    `commands  ${commands} planned, ${results.length} with a result, asked for ${asked} times, ${ledgerLines} lines in the ledger`,
    `results   ${counts.map(({ kind, count }) => `${kind ?? 'success'} ${count}`).join(', ')}`,
  ]
}

export function renderChecks(checks: readonly Check[]): string[] {
  return checks.flatMap(({ what, wrong }) => {
    const told = wrong.slice(0, toldOfEach).map(({ task, why }) => `      ${task ? `${task.plan.id}: ` : ''}${why}`)
    const more = wrong.length > toldOfEach ? [`      and ${wrong.length - toldOfEach} more`] : []
    return [`${wrong.length === 0 ? 'PASS' : 'FAIL'}  ${what}`, ...told, ...more]
  })
}

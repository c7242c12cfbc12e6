import { parseArgs } from 'node:util'
import { UsageError, wholeNumber } from '../command-line.ts'

/** What day is asked for. */
export interface DayArguments {
  /** How many tasks come. */
  tasks: number
  hours: number
  /** The most containers of the pool. */
  containers: number
  managers: number
  /** How long a task has its slot, the median; with a tenth of it a tenth of the containers has as many leases. */
  medianMs: number
  seed: number
  json: string | undefined
  svg: string | undefined
}

export const usage = `usage: npm run simulate -- [--hours 24] [--containers 1000] [--tasks N] [--median-seconds 160] [--managers 3] [--seed N] [--json FILE] [--svg FILE]`

/** Of a whole day with a thousand containers. */
const tasksOfDay = 1_000_000
const containersOfDay = 1_000
const medianOfDaySeconds = 160

/** @throws {UsageError} for what is not known, naming what is. */
export function parseDayArguments(args: readonly string[]): DayArguments {
  const values = parse(args)
  const hours = wholeNumber('hours', values.hours, 1) ?? 24
  const containers = wholeNumber('containers', values.containers, 3) ?? containersOfDay
  return {
    hours,
    containers,
    tasks: wholeNumber('tasks', values.tasks, 1) ?? Math.round(tasksOfDay * (hours / 24) * (containers / containersOfDay)),
    managers: wholeNumber('managers', values.managers, 1) ?? 3,
    medianMs: 1_000 * (wholeNumber('median-seconds', values['median-seconds'], 1) ?? medianOfDaySeconds),
    seed: wholeNumber('seed', values.seed, 0) ?? Math.floor(Math.random() * 2 ** 32),
    json: values.json,
    svg: values.svg,
  }
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const
  try {
    const options = {
      hours: text,
      containers: text,
      tasks: text,
      managers: text,
      'median-seconds': text,
      seed: text,
      json: text,
      svg: text,
    }
    return parseArgs({ args: [...args], options }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

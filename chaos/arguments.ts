import { parseArgs } from 'node:util'
import { UsageError, wholeNumber } from '../bench/command-line.ts'
import { type FaultName, faultNames, faultsOf, type PlaceName, placeNames } from './faults.ts'

/** What a run was asked for. */
export interface ChaosOptions {
  backend: PlaceName
  tasks: number
  /** How many commands a task has, at least and at most. */
  commands: { least: number; most: number }
  /** Decides all that is decided by chance; printed, so that a run can be repeated. */
  seed: number
  /** In each container. */
  slots: number
  containers: number
  managers: number
  /** The kinds that are injected, each at least once. */
  faults: readonly FaultName[]
}

export const usage = `usage: npm run chaos -- [--backend local|docker|nomad|fake] [--tasks 1000] [--commands 3..6] [--seed N] [--slots 10]
                        [--containers 3] [--managers 2] [--faults NAME,NAME]`

/** @throws {UsageError} for what is not known, naming what is. */
export function parseArguments(args: readonly string[]): ChaosOptions {
  const values = parse(args)
  const backend = values.backend ?? 'local'
  if (!isPlace(backend)) throw new UsageError(`--backend: got ${backend}, expected one of ${placeNames.join(', ')}`)
  return {
    backend,
    tasks: wholeNumber('tasks', values.tasks, 1) ?? 1000,
    commands: range(values.commands ?? '3..6'),
    seed: wholeNumber('seed', values.seed, 0) ?? Math.floor(Math.random() * 2 ** 32),
    slots: wholeNumber('slots', values.slots, 1) ?? 10,
    containers: wholeNumber('containers', values.containers, 1) ?? 3,
    managers: wholeNumber('managers', values.managers, 1) ?? 2,
    faults: faults(values.faults, backend),
  }
}

/** The command line that repeats a run. */
export function repeatLine(options: ChaosOptions): string {
  const { backend, tasks, commands, seed, slots, containers, managers, faults } = options
  return (
    `npm run chaos -- --backend ${backend} --tasks ${tasks} --commands ${commands.least}..${commands.most} --seed ${seed} --slots ${slots} ` +
    `--containers ${containers} --managers ${managers} --faults ${faults.join(',')}`
  )
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const
  try {
    const options = { backend: text, tasks: text, commands: text, seed: text, slots: text, containers: text, managers: text, faults: text }
    return parseArgs({ args: [...args], options }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

const isPlace = (name: string): name is PlaceName => placeNames.some((one) => one === name)
const isFault = (name: string): name is FaultName => faultNames.some((one) => one === name)

function faults(text: string | undefined, backend: PlaceName): readonly FaultName[] {
  const possible = faultsOf(backend)
  if (text === undefined) return possible
  const names = text.split(',').map((name) => name.trim())
  for (const name of names) {
    if (!isFault(name) || !possible.includes(name)) {
      throw new UsageError(`--faults: got ${name}, expected one or more of ${possible.join(', ')} between commas, for backend ${backend}`)
    }
  }
  return names.filter(isFault)
}

function range(text: string): ChaosOptions['commands'] {
  const [, first, last = first] = /^([0-9]{1,3})(?:\.\.([0-9]{1,3}))?$/.exec(text) ?? []
  const [least, most] = [Number(first), Number(last)]
  if (least >= 1 && least <= most) return { least, most }
  throw new UsageError(`--commands: got ${text}, expected a number or a range such as 3..6`)
}

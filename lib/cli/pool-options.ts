import type { Argv, Options } from 'yargs'
import { backendNames, isolationNames, networkNames, type SlotPoolOptions } from '../config.ts'
import { mountForm, parseMount } from '../mount.ts'

/** Options of every command that speaks to a pool; each wins over the environment variable beside it. */
const poolOptions = {
  backend: { choices: [...backendNames, 'sandbox'] as const, describe: 'where containers come from (TERMINAL_ENV)' },
  pool: { type: 'string', describe: 'the name of the pool (TERMINAL_POOL)' },
  image: { type: 'string', describe: 'image of the containers (TERMINAL_NOMAD_IMAGE)' },
  'tools-image': { type: 'string', describe: 'where the server comes from when that image has none (TERMINAL_TOOLS_IMAGE)' },
  slots: { type: 'string', describe: 'slots in each container (TERMINAL_NOMAD_SLOTS)' },
  min: { type: 'string', describe: 'containers kept (TERMINAL_NOMAD_MIN)' },
  max: { type: 'string', describe: 'containers at most, of what this call makes (TERMINAL_NOMAD_MAX)' },
  isolation: { choices: isolationNames, describe: 'the isolation wanted (TERMINAL_ISOLATION)' },
  network: { choices: networkNames, describe: 'the network of a slot (TERMINAL_NETWORK)' },
} as const satisfies Record<string, Options>

/** Those of the commands that may start a pool. */
export const startOptions: Readonly<Record<string, Options>> = {
  ...poolOptions,
  mount: {
    alias: 'v',
    type: 'string',
    array: true,
    nargs: 1,
    describe: `${mountForm}: what slots see of the host, read-only unless :rw; may be repeated (TERMINAL_MOUNTS)`,
  },
}

const numbers = new Set(['slots', 'min', 'max'])

/** Adds the options of the pool to a command. */
export function withPoolOptions<T>(yargs: Argv<T>): Argv<T> {
  return withGroup(yargs, poolOptions)
}

/** Adds the options of the pool to a command that may start it. */
export function withStartOptions<T>(yargs: Argv<T>): Argv<T> {
  return withGroup(yargs, startOptions)
}

function withGroup<T>(yargs: Argv<T>, options: Readonly<Record<string, Options>>): Argv<T> {
  const grouped: Record<string, Options> = {}
  for (const [name, option] of Object.entries(options)) grouped[name] = { ...option, group: 'Pool:', requiresArg: true }
  return yargs.options(grouped) as unknown as Argv<T>
}

/**
 * The pool's options that were given on the command line.
 *
 * @throws {SlotpoolError} `MOUNT_INVALID` for what is no mount.
 */
export function poolOptionsOf(args: object): SlotPoolOptions {
  const given = args as Record<string, unknown>
  const options: Record<string, unknown> = {}
  for (const name of Object.keys(poolOptions)) {
    const key = name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
    const value = given[key]
    if (value === undefined) continue
    // What is no number goes on as it is, to be refused in its own words.
    options[key === 'backend' ? 'env' : key] = numbers.has(name) && /^[0-9]{1,15}$/.test(String(value)) ? Number(value) : value
  }
  if (Array.isArray(given.mount)) options.mounts = given.mount.map((text) => parseMount(String(text)))
  return options as SlotPoolOptions
}

import { parseArgs } from 'node:util'
import { type BackendName, backendNames } from '../lib/config.ts'
import { UsageError, wholeNumber } from './command-line.ts'

/** What a run of the benchmark was asked for. */
export interface BenchOptions {
  /** Names of scenarios. */
  scenarios: readonly string[]
  backends: readonly BackendName[]
  /** A tenth of the work: to see that everything runs, not to quote. */
  quick: boolean
  /** Orders the contestants; printed, so that a run can be repeated. */
  seed: number
  /** Runs of each contestant where a scenario times a single operation; undefined: the scenario's own choice. */
  samples: number | undefined
  /** Runs of one contestant in a row before the next one has its turn. */
  burst: number
  /** Where the JSON and the chart go; undefined: nowhere. */
  json: string | undefined
  svg: string | undefined
}

export const usage = `usage: npm run bench -- [SCENARIO…] [--backend local,docker,nomad] [--quick] [--json FILE] [--svg FILE]
                        [--seed N] [--samples N] [--burst N]`

/** @throws {UsageError} for what is not known, naming what is. */
export function parseArguments(args: readonly string[], known: readonly string[]): BenchOptions {
  const { values, positionals } = parse(args)
  for (const name of positionals) {
    if (!known.includes(name)) throw new UsageError(`got scenario ${name}, expected one of ${known.join(', ')}`)
  }
  const backends = (values.backend ?? backendNames.join(',')).split(',').map((name) => name.trim())
  for (const name of backends) {
    if (!isBackend(name)) throw new UsageError(`--backend: got ${name}, expected one or more of ${backendNames.join(', ')} between commas`)
  }
  return {
    scenarios: positionals.length > 0 ? positionals : known,
    backends: backends.filter(isBackend),
    quick: values.quick ?? false,
    seed: wholeNumber('seed', values.seed, 0) ?? Math.floor(Math.random() * 2 ** 32),
    samples: wholeNumber('samples', values.samples, 1),
    burst: wholeNumber('burst', values.burst, 1) ?? 10,
    json: values.json,
    svg: values.svg,
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        backend: { type: 'string' },
        quick: { type: 'boolean' },
        json: { type: 'string' },
        svg: { type: 'string' },
        seed: { type: 'string' },
        samples: { type: 'string' },
        burst: { type: 'string' },
      },
    })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

const isBackend = (name: string): name is BackendName => backendNames.some((one) => one === name)

import { join } from 'node:path'
import { packageRoot } from '../../lib/package-root.ts'
import type { Bench, Scenario } from '../bench.ts'
import { checkEcho } from '../contestants.ts'
import { type Contestant, interleave, type Measured } from '../interleave.ts'
import type { Peer } from '../peers/peer.ts'
import { floor } from '../peers/spawn.ts'
import { startSpawnDriver } from '../peers/spawn-driver.ts'
import { openPool, systemName } from '../pool.ts'
import { schedule } from '../schedule.ts'
import { median } from '../statistics.ts'

const command = 'echo hello'
const emptyNode = 'node -e 0'
const cliOf = (backend: Bench['backends'][number]): string => `${systemName(backend)}: slotpool exec`

/** A process of the command line for one command of a task that has its slot, beside a process of Node that does nothing. */
export const cliExec: Scenario = {
  name: 'cli-exec',
  async run(bench) {
    const commandLines: string[][] = [
      [process.execPath, '-e'],
      ['/bin/bash', '-c'],
    ]
    for (const backend of bench.backends) {
      const { name, pool } = await openPool(bench, bench.scope, backend)
      await pool.lease('bench')
      const program = join(packageRoot(), 'bin', 'slotpool.js')
      commandLines.push([process.execPath, program, 'exec', '--backend', backend, '--pool', name, '--task-id', 'bench'])
    }
    const driver = await startSpawnDriver(bench.scope, `Node ${process.version}`, commandLines)
    const contestants = [
      contestant(emptyNode, driver, 0, '0', (stdout, exitCode) => {
        if (stdout !== '' || exitCode !== 0) throw new Error(`${emptyNode} gave exit code ${exitCode}`)
      }),
      contestant(floor.name, driver, 1, command, checkEcho),
      ...bench.backends.map((backend, at) => contestant(cliOf(backend), driver, at + 2, command, checkEcho)),
    ]
    bench.progress('measuring')
    const measured = await interleave(contestants, schedule(bench, { samples: 60 }))
    bench.report.addMeasured(measured, { scenario: 'cli-exec', what: 'a process', unit: 'ms', better: 'less' })
    judge(bench, measured)
  },
}

function contestant(name: string, driver: Peer, at: number, run: string, check: typeof checkEcho): Contestant {
  return {
    name,
    async once() {
      const { stdout, exitCode, elapsedMs = Number.NaN } = await driver.run(run, at)
      check(stdout, exitCode)
      return elapsedMs
    },
  }
}

function judge(bench: Bench, measured: readonly Measured[]): void {
  const p50 = (name: string): number | undefined => {
    const found = measured.find((one) => one.name === name && one.failure === undefined)
    return found && median(found.rounds.flat())
  }
  const [node, bare] = [p50(emptyNode), p50(floor.name)]
  if (node === undefined || bare === undefined) return
  for (const backend of bench.backends) {
    const ours = p50(cliOf(backend))
    if (ours !== undefined) bench.report.judge('cli-exec', systemName(backend), ours / (node + bare))
  }
}

// npm run bench -- [SCENARIO…] [options]; README.md says what is measured and how. Figures go to stdout, how far it is to stderr.
import { randomBytes } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packageRoot } from '../lib/package-root.ts'
import { type BenchOptions, parseArguments, usage } from './arguments.ts'
import { workingBackends } from './backends.ts'
import type { Bench } from './bench.ts'
import { renderChart } from './chart.ts'
import { Cleanup } from './cleanup.ts'
import { UsageError } from './command-line.ts'
import { Interrupt } from './interrupt.ts'
import { describeMachine, type Machine } from './machine.ts'
import { Random } from './random.ts'
import { renderBar, renderMachine, renderScenario, renderSystems } from './render-report.ts'
import { Report } from './report.ts'
import { runPart } from './run-scenario.ts'
import { allScenarios } from './scenarios/all-scenarios.ts'

const print = (lines: readonly string[]): void => console.log(`${lines.join('\n')}\n`)

async function main(options: BenchOptions): Promise<number> {
  const interrupt = new Interrupt('bench')
  const cleanup = new Cleanup()
  const folder = mkdtempSync(join(tmpdir(), 'slotpool-bench-'))
  // Pools keep their state here, apart from those of whoever runs this.
  process.env.XDG_STATE_HOME = join(folder, 'state')
  cleanup.add(`remove ${folder}`, () => rm(folder, { recursive: true, force: true }))

  const report = new Report()
  let bench: Bench = {
    options,
    backends: [],
    random: new Random(options.seed),
    report,
    signal: interrupt.signal,
    scope: cleanup,
    folder,
    id: randomBytes(6).toString('hex'),
    progress: (line) => console.error(`bench: ${line}`),
  }
  const startedAt = new Date()
  const machine = await describeMachine(packageRoot())
  print([
    ...renderMachine(machine),
    `run       ${startedAt.toISOString()}, seed ${options.seed}, bursts of ${options.burst}${options.quick ? ', quick' : ''}`,
  ])

  await runPart(bench, cleanup, 'backends', async (own) => {
    bench = { ...bench, backends: await workingBackends(own) }
  })
  for (const { name, run } of allScenarios.filter((one) => options.scenarios.includes(one.name))) {
    if (interrupt.exitCode !== undefined) break
    await runPart(bench, cleanup, name, run)
    if (interrupt.exitCode === undefined) print(renderScenario(name, report))
  }
  for (const { message } of await cleanup.run()) report.failures.push({ what: 'end of the run', why: message })
  if (interrupt.exitCode !== undefined) {
    for (const { what, why } of report.failures) console.error(`bench: ${what}: ${why}`)
    return interrupt.exitCode
  }
  print(renderBar(report.judgements, options.quick))
  print(renderSystems(report))
  await writeFiles(options, report, machine, startedAt)
  return report.failures.length === 0 ? 0 : 1
}

async function writeFiles(options: BenchOptions, report: Report, machine: Machine, startedAt: Date): Promise<void> {
  if (options.json !== undefined) {
    const { seed, burst, quick, scenarios, backends } = options
    const run = { startedAt, endedAt: new Date(), seed, burst, quick, scenarios, backends }
    await writeFile(options.json, `${JSON.stringify(report.toJSON(machine, run), null, 1)}\n`)
  }
  if (options.svg !== undefined) {
    const { cpu, cores, kernel, node, docker, commit } = machine
    const place = [
      startedAt.toISOString().slice(0, 10),
      commit,
      `${cpu}, ${cores} cores`,
      `Linux ${kernel}`,
      `Node ${node}`,
      docker && `Docker ${docker}`,
    ]
    const subtitle = `${place.filter(Boolean).join(' · ')} · logarithmic scales`
    await writeFile(options.svg, renderChart('slotpool beside its peers', subtitle, report.measures, report.judgements))
  }
}

try {
  const options = parseArguments(
    process.argv.slice(2),
    allScenarios.map((one) => one.name),
  )
  // What a peer or a cut-off operation still holds must not keep the process.
  process.exit(await main(options))
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  console.error(`bench: ${error.message}\n${usage}`)
  process.exit(2)
}

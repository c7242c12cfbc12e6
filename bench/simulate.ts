// npm run simulate -- [options]: a day of a pool in simulated time; README.md says what it shows. Figures go to stdout, how far it is to stderr.
import { writeFile } from 'node:fs/promises'
import { packageRoot } from '../lib/package-root.ts'
import { UsageError } from './command-line.ts'
import { describeMachine, type Machine } from './machine.ts'
import { renderMachine } from './render-report.ts'
import { type DayArguments, parseDayArguments, usage } from './simulation/day-arguments.ts'
import { judgeDay } from './simulation/judge-day.ts'
import { observeDay } from './simulation/observe-day.ts'
import { renderDay, renderDayChart, renderDayChecks } from './simulation/render-day.ts'
import { usualDay } from './simulation/usual-day.ts'

async function main(args: DayArguments): Promise<number> {
  const startedAt = new Date()
  const machine = await describeMachine(packageRoot())
  const report = await observeDay({
    ...usualDay(args),
    collectGarbage: globalThis.gc,
    onProgress: (line) => console.error(`simulate: ${line}`),
  })
  const checks = judgeDay(report)
  const head = [...renderMachine(machine), `run       ${startedAt.toISOString()}, seed ${args.seed}`]
  console.log([...head, '', ...renderDay(report), '', ...renderDayChecks(checks)].join('\n'))
  if (args.json !== undefined) await writeFile(args.json, `${JSON.stringify({ machine, seed: args.seed, report, checks }, null, 1)}\n`)
  if (args.svg !== undefined) await writeFile(args.svg, renderDayChart(report, subtitle(machine, startedAt, args.seed)))
  return checks.every((one) => one.holds) ? 0 : 1
}

function subtitle({ commit, cpu, cores, node }: Machine, startedAt: Date, seed: number): string {
  return [startedAt.toISOString().slice(0, 10), commit, `${cpu}, ${cores} cores`, `Node ${node}`, `seed ${seed}`]
    .filter(Boolean)
    .join(' · ')
}

try {
  process.exit(await main(parseDayArguments(process.argv.slice(2))))
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  console.error(`simulate: ${error.message}\n${usage}`)
  process.exit(2)
}

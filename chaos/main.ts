// npm run chaos -- [options]; docs/operations.md, "Chaos", says what it does. The table goes to stdout, how far it is to stderr.
import { randomBytes } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Cleanup } from '../bench/cleanup.ts'
import { UsageError } from '../bench/command-line.ts'
import { Interrupt } from '../bench/interrupt.ts'
import { type ChaosOptions, parseArguments, repeatLine, usage } from './arguments.ts'
import { judge } from './judge.ts'
import { renderChecks, renderTable, renderTotals } from './report.ts'
import { type Outcome, runChaos } from './run.ts'

async function main(options: ChaosOptions): Promise<number> {
  const startedAt = performance.now()
  const interrupt = new Interrupt('chaos')
  const cleanup = new Cleanup()
  const mark = `chaos-${randomBytes(6).toString('hex')}`
  const folder = mkdtempSync(join(tmpdir(), `slotpool-${mark}-`))
  // The pool keeps its state here, apart from those of whoever runs this.
  process.env.XDG_STATE_HOME = join(folder, 'state')
  cleanup.add(`remove ${folder}`, () => rm(folder, { recursive: true, force: true }))
  const say = (line: string): void => console.error(`chaos: ${((performance.now() - startedAt) / 1000).toFixed(1)} s: ${line}`)

  let outcome: Outcome | undefined
  let failure: unknown
  try {
    outcome = await runChaos({ options, mark, folder, cleanup, signal: interrupt.signal, say })
  } catch (error) {
    failure = error
  }
  for (const { message } of await cleanup.run()) say(message)
  if (interrupt.exitCode !== undefined) return interrupt.exitCode
  if (!outcome) {
    console.error(failure)
    console.log(`repeat    ${repeatLine(options)}`)
    return 1
  }
  const checks = judge(outcome)
  const held = checks.every((check) => check.wrong.length === 0)
  const { backend, tasks, seed, slots, containers, managers } = options
  const lines = [
    `chaos     ${backend}, ${tasks} tasks, ${containers} containers of ${slots} slots, ${managers} managers, seed ${seed}`,
    '',
    ...renderTable(outcome.tasks, outcome.injected, checks),
    '',
    ...renderTotals(outcome.tasks, outcome.ledger.length),
    `took      ${((performance.now() - startedAt) / 1000).toFixed(1)} s`,
    '',
    ...renderChecks(checks),
    '',
    `${held ? 'PASS' : 'FAIL'}      ${repeatLine(options)}`,
  ]
  console.log(lines.join('\n'))
  return held ? 0 : 1
}

try {
  process.exitCode = await main(parseArguments(process.argv.slice(2)))
  // What a server that was stopped still holds must not keep the process.
  process.exit()
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  console.error(`chaos: ${error.message}\n${usage}`)
  process.exit(2)
}

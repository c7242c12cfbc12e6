import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import yargs from 'yargs'
import { SlotpoolError } from '../errors.ts'
import { packageRoot } from '../package-root.ts'
import { separateCommand } from './command-words.ts'
import { doctorCommand } from './commands/doctor.ts'
import { downCommand } from './commands/down.ts'
import { execCommand } from './commands/exec.ts'
import { imageCommand } from './commands/image.ts'
import { releaseCommand } from './commands/release.ts'
import { statusCommand } from './commands/status.ts'
import { upCommand } from './commands/up.ts'
import { reportError } from './output.ts'

/** The command line. Sets `process.exitCode`; 2 for wrong usage. */
export async function main(argv: readonly string[]): Promise<void> {
  const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string }
  const parser = yargs(separateCommand(argv))
    .scriptName('slotpool')
    .usage('$0 COMMAND\n\nIsolated shells for AI agents: one warm slot a task, on this machine, on Docker or across a Nomad cluster.')
    .parserConfiguration({ 'populate--': true, 'duplicate-arguments-array': false, 'parse-positional-numbers': false })
    .command(execCommand)
    .command(releaseCommand)
    .command(statusCommand)
    .command(upCommand)
    .command(downCommand)
    .command(imageCommand)
    .command(doctorCommand)
    .demandCommand(1, 1, 'expected a COMMAND')
    .strict()
    .version(version)
    .help()
    .alias('help', 'h')
    .wrap(Math.min(120, process.stdout.columns ?? 100))
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? new SlotpoolError('USAGE', `${message}; see slotpool --help`)
    })
  try {
    await parser.parseAsync()
  } catch (error) {
    const ours = SlotpoolError.from(error)
    reportError(ours, argv.includes('--json'))
    process.exitCode = ours.exitCode
  }
}

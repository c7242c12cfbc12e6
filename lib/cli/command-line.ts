import { closest } from 'fastest-levenshtein'
import yargs, { type Argv } from 'yargs'
import { SlotpoolError } from '../errors.ts'
import { packageVersion } from '../package-root.ts'
import { doctorCommand } from './commands/doctor.ts'
import { downCommand } from './commands/down.ts'
import { execCommand } from './commands/exec.ts'
import { imageCommand } from './commands/image.ts'
import { nomadCommand } from './commands/nomad.ts'
import { releaseCommand } from './commands/release.ts'
import { statusCommand } from './commands/status.ts'
import { upCommand } from './commands/up.ts'
import { reportError } from './output.ts'

/** Reads the words of any command, explains them where they are wrong or help is asked for, and runs it. */
export async function runCommandLine(words: readonly string[]): Promise<void> {
  try {
    await parserOf(words).parseAsync()
  } catch (error) {
    const ours = SlotpoolError.from(error)
    const end = words.indexOf('--')
    reportError(ours, (end === -1 ? words : words.slice(0, end)).includes('--json'))
    process.exitCode = ours.exitCode
  }
}

/** With another `exec`, that one gets what was read. */
export function parserOf(words: readonly string[], exec: typeof execCommand = execCommand): Argv {
  return (
    yargs(words)
      .scriptName('slotpool')
      .usage('$0 COMMAND\n\nIsolated shells for AI agents: one warm slot a task, on this machine, on Docker or across a Nomad cluster.')
      .parserConfiguration({ 'populate--': true, 'parse-positional-numbers': false, 'dot-notation': false })
      .command(exec)
      .command(releaseCommand)
      .command(statusCommand)
      .command(upCommand)
      .command(downCommand)
      .command(imageCommand)
      .command(nomadCommand)
      .command(doctorCommand)
      .demandCommand(1, 'expected a COMMAND')
      .strict()
      // What it says is in English whatever the locale, as all else is.
      .locale('en')
      .check(refuseRepetition)
      .version(packageVersion())
      .help()
      .alias('help', 'h')
      .wrap(Math.min(120, process.stdout.columns ?? 100))
      .exitProcess(false)
      .fail((message, error) => {
        // What yargs itself finds wrong comes as a message, as an error of its own, or both.
        if (error && error.name !== 'YError') throw error
        throw new SlotpoolError('USAGE', explained(message ?? error.message, words))
      })
  )
}

const commands = [execCommand, releaseCommand, statusCommand, upCommand, downCommand, imageCommand, nomadCommand, doctorCommand]
const commandNames = commands.map(({ command }) => String(command).split(' ')[0] as string)

/** What yargs found wrong, with the name that was probably meant, and where to read on. */
function explained(message: string, words: readonly string[]): string {
  const [command] = words.filter((word) => !word.startsWith('-'))
  const isCommand = command !== undefined && commandNames.includes(command)
  if (command !== undefined && !isCommand) {
    const near = closest(command, commandNames)
    return `got command ${command}, expected one of ${commandNames.join(', ')}; did you mean ${near}? see slotpool --help`
  }
  return `${message}; see slotpool ${isCommand ? `${command} ` : ''}--help`
}

/** Options that may be given several times, and what yargs has of its own. */
const repeatable = new Set(['_', '--', 'env', 'allow-env', 'allowEnv', 'mount', 'v'])

/** An option that takes one value, given twice, may be a slip: neither value is taken in silence. */
function refuseRepetition(args: Record<string, unknown>): true {
  for (const [name, value] of Object.entries(args)) {
    if (!Array.isArray(value) || repeatable.has(name)) continue
    throw new SlotpoolError('USAGE', `--${name}: got ${value.length} values, expected one`)
  }
  return true
}

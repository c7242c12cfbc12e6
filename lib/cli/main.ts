import { separateCommand } from './command-words.ts'
import { plainExec } from './plain-exec.ts'
import { runExec } from './run-exec.ts'

/** The command line. Sets `process.exitCode`; 2 for wrong usage. */
export async function main(argv: readonly string[]): Promise<void> {
  const words = separateCommand(argv)
  const args = plainExec(words)
  if (args) return runExec(args)
  // Loaded late, since a plain `exec` needs neither yargs nor the other commands.
  const { runCommandLine } = await import('./command-line.ts')
  await runCommandLine(words)
}

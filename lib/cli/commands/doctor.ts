import type { CommandModule } from 'yargs'
import { loadConfig } from '../../config.ts'
import { runCli } from '../context.ts'
import { writeStdout } from '../output.ts'
import { poolOptionsOf, withPoolOptions } from '../pool-options.ts'

/** `slotpool doctor`: what of this machine slotpool can use, and what would mend the rest. */
export const doctorCommand: CommandModule<object, { json: boolean }> = {
  command: 'doctor',
  describe: 'say what of this machine slotpool can use, and what would mend the rest',
  builder: (yargs) => withPoolOptions(yargs).option('json', { type: 'boolean', default: false, describe: 'print JSON' }),
  handler: (args) =>
    runCli(args.json, async ({ signal }) => {
      const [{ runChecks }, { renderChecks }] = await Promise.all([import('../doctor/run-checks.ts'), import('../doctor/render.ts')])
      const checks = await runChecks(loadConfig(poolOptionsOf(args)), signal)
      await writeStdout(args.json ? `${JSON.stringify({ checks })}\n` : renderChecks(checks))
      return 0
    }),
}

import { setTimeout as delay } from 'node:timers/promises'
import type { CommandModule } from 'yargs'
import { SlotPool } from '../../pool/slot-pool.ts'
import { runCli } from '../context.ts'
import { notice, writeStdout } from '../output.ts'
import { poolOptionsOf, withPoolOptions } from '../pool-options.ts'
import { renderStatus } from '../render-status.ts'

/** How often `--watch` looks. */
const watchEveryMs = 1_000

/** `slotpool status`: what the pool has and who uses it. Starts nothing. */
export const statusCommand: CommandModule<object, { json: boolean; watch: boolean }> = {
  command: 'status',
  describe: 'show containers, slots and leases of the pool',
  builder: (yargs) =>
    withPoolOptions(yargs).options({
      json: { type: 'boolean', default: false, describe: 'print JSON; with --watch one object a line' },
      watch: { type: 'boolean', default: false, describe: 'show it again every second, until interrupted' },
    }),
  handler: (args) =>
    runCli(args.json, async (interrupt) => {
      const { signal } = interrupt
      await using pool = await SlotPool.attach({ ...poolOptionsOf(args), signal, onNotice: notice })
      const clear = args.watch && !args.json && process.stdout.isTTY ? '\u001b[H\u001b[2J' : ''
      for (;;) {
        const status = await pool.status(signal)
        await writeStdout(args.json ? `${JSON.stringify(status)}\n` : clear + renderStatus(status))
        if (!args.watch) return 0
        await delay(watchEveryMs, undefined, { signal }).catch(() => {})
        if (signal.aborted) return 0
      }
    }),
}

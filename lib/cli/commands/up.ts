import type { CommandModule } from 'yargs'
import { SlotPool } from '../../pool/slot-pool.ts'
import { runCli } from '../context.ts'
import { notice } from '../output.ts'
import { poolOptionsOf, withStartOptions } from '../pool-options.ts'
import { renderStatus } from '../render-status.ts'

/** `slotpool up`: makes the pool have its `min` containers, so that the first command does not wait for them. */
export const upCommand: CommandModule<object, object> = {
  command: 'up',
  describe: 'start the pool',
  builder: (yargs) => withStartOptions(yargs),
  handler: (args) =>
    runCli(false, async ({ signal }) => {
      await using pool = await SlotPool.open({ ...poolOptionsOf(args), signal, onNotice: notice })
      await pool.fill(signal)
      notice(renderStatus(await pool.status(signal)).trimEnd())
      return 0
    }),
}

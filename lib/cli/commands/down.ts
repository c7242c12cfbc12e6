import type { CommandModule } from 'yargs'
import { SlotPool } from '../../pool/slot-pool.ts'
import { runCli } from '../context.ts'
import { notice } from '../output.ts'
import { poolOptionsOf, withPoolOptions } from '../pool-options.ts'

/** `slotpool down`: ends the pool for everybody and leaves nothing of it. */
export const downCommand: CommandModule<object, object> = {
  command: 'down',
  describe: 'end the pool with all its containers and leases',
  builder: (yargs) => withPoolOptions(yargs),
  handler: (args) =>
    runCli(false, async ({ signal }) => {
      await using pool = await SlotPool.attach({ ...poolOptionsOf(args), signal, onNotice: notice })
      await pool.down(signal)
      return 0
    }),
}

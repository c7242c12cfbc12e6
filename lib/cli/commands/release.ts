import type { CommandModule } from 'yargs'
import { SlotpoolError } from '../../errors.ts'
import { SlotPool } from '../../pool/slot-pool.ts'
import { runCli } from '../context.ts'
import { notice } from '../output.ts'
import { poolOptionsOf, withPoolOptions } from '../pool-options.ts'

/** `slotpool release`: gives slots back before their lifetime is over. */
export const releaseCommand: CommandModule<object, { taskId?: string | undefined; all: boolean }> = {
  command: 'release',
  describe: 'give back the slot of a task, or all slots',
  builder: (yargs) =>
    withPoolOptions(yargs).options({
      'task-id': { type: 'string', requiresArg: true, describe: 'the task whose slot is given back' },
      all: { type: 'boolean', default: false, describe: 'give back every slot of the pool, whoever has it' },
    }),
  handler: (args) =>
    runCli(false, async ({ signal }) => {
      if (args.all === (args.taskId !== undefined)) throw new SlotpoolError('USAGE', 'expected either --task-id T or --all')
      await using pool = await SlotPool.attach({ ...poolOptionsOf(args), signal, onNotice: notice })
      if (args.taskId !== undefined) {
        await pool.release(args.taskId, signal)
        return 0
      }
      const count = await pool.releaseAll(signal)
      notice(`slotpool: released ${count} ${count === 1 ? 'slot' : 'slots'}`)
      return 0
    }),
}

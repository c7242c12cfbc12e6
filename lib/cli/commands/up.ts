import type { CommandModule } from 'yargs'
import { SlotpoolError } from '../../errors.ts'
import { SlotPool } from '../../pool/slot-pool.ts'
import { runCli } from '../context.ts'
import { notice } from '../output.ts'
import { poolOptionsOf, withStartOptions } from '../pool-options.ts'
import { ChangeReport } from '../render-change.ts'
import { renderStatus } from '../render-status.ts'

interface UpArguments {
  roll: boolean
  force: boolean
  detach: boolean
}

/** `slotpool up`: makes the pool have its `min` containers, so that the first command does not wait for them, and changes one that runs with others. */
export const upCommand: CommandModule<object, UpArguments> = {
  command: 'up',
  describe: 'start the pool, or change it',
  builder: (yargs) =>
    withStartOptions(yargs).options({
      roll: {
        type: 'boolean',
        default: false,
        describe: 'move a pool that runs with other settings, or another image of that name, over to these, container by container',
      },
      force: {
        type: 'boolean',
        default: false,
        describe: 'with --roll: also where nothing differs, and over what was changed by hand',
      },
      detach: {
        type: 'boolean',
        default: false,
        describe: 'with --roll: return when the first new container serves; whoever uses the pool does the rest',
      },
    }),
  handler: (args) =>
    runCli(false, async ({ signal }) => {
      const { roll, force, detach } = args
      if (!roll && (force || detach)) throw new SlotpoolError('USAGE', `--${force ? 'force' : 'detach'}: expected --roll beside it`)
      const change = force ? 'force' : roll ? 'roll' : 'refuse'
      await using pool = await SlotPool.open({ ...poolOptionsOf(args), change, signal, onNotice: notice })
      if (roll && !detach) {
        const report = new ChangeReport(notice)
        await pool.finishChange({ signal, onProgress: (status) => report.note(status) })
      }
      await pool.fill(signal)
      notice(renderStatus(await pool.status(signal)).trimEnd())
      return 0
    }),
}

import type { CommandModule } from 'yargs'
import { type ExecArguments, execOptions } from '../exec-options.ts'
import { withStartOptions } from '../pool-options.ts'
import { runExec } from '../run-exec.ts'

/** `slotpool exec`: one command in the slot of a task, its output as it comes, its exit code as ours. */
export const execCommand: CommandModule<object, ExecArguments> = {
  command: 'exec',
  describe: 'run a command in the slot of a task',
  builder: (yargs) =>
    withStartOptions(yargs)
      .usage('$0 exec [options] COMMAND…\n\nExits as the command does; 124 after a timeout, 125 when slotpool fails, 2 for wrong usage.')
      .options(execOptions)
      .example('$0 exec --task-id a "echo hi > f; pwd"', 'a file that the next command of task a finds'),
  handler: runExec,
}

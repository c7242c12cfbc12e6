import type { Options } from 'yargs'

/** What `slotpool exec` takes beside the options of the pool, as it is read from the command line. */
export interface ExecArguments {
  taskId?: string | undefined
  timeout?: string | undefined
  cwd?: string | undefined
  env?: string[] | undefined
  allowEnv?: string[] | undefined
  noOutputTimeout?: string | undefined
  json: boolean
  trace: boolean
  '--'?: string[] | undefined
}

export const execOptions = {
  'task-id': { type: 'string', requiresArg: true, describe: 'the task; without it a slot is leased for this one command' },
  timeout: { type: 'string', requiresArg: true, describe: 'seconds for the command (TERMINAL_TIMEOUT)' },
  'no-output-timeout': { type: 'string', requiresArg: true, describe: 'seconds without any output after which the command is ended' },
  cwd: { type: 'string', requiresArg: true, describe: 'where the command starts (TERMINAL_CWD)' },
  env: { type: 'string', array: true, nargs: 1, requiresArg: true, describe: 'KEY=VALUE for the environment; may be repeated' },
  'allow-env': {
    type: 'string',
    array: true,
    nargs: 1,
    requiresArg: true,
    describe: 'KEY that --env passes on although it is reserved; may be repeated',
  },
  json: { type: 'boolean', default: false, describe: 'print one JSON object instead of the output' },
  trace: { type: 'boolean', default: false, describe: 'say on stderr where the time went' },
} as const satisfies Record<string, Options>

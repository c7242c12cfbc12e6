/** What the model is shown: a function tool in the form that model APIs take. The task and everything else stay with the caller. */
export const terminalToolSchema = {
  name: 'terminal',
  description:
    'Run a command with bash in a Linux workspace of your own. Files and background processes stay from one command ' +
    'to the next; the working directory and shell variables do not. There is no terminal to answer questions on: use flags such as -y. ' +
    'Output of stdout and stderr comes back in the order in which it was written; very long output is cut in the middle.',
  parameters: {
    type: 'object',
    properties: {
      command: { type: 'string', description: 'What to run, as for bash -c.' },
      background: {
        type: 'boolean',
        description: 'Start the command and return at once, for servers and other things that keep running. Default: false.',
      },
      timeout: { type: 'number', description: 'Seconds after which the command and all that it started are ended.' },
    },
    required: ['command'],
    additionalProperties: false,
  },
} as const

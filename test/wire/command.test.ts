import t from 'tap'
import { checkCommand } from '../../lib/wire/command.ts'
import { maxCommandBytes } from '../../lib/wire/execution.ts'

t.test('what bash could not run as it was meant', async (t) => {
  for (const [command, reason] of [
    ['', 'empty'],
    [' \t\n', 'empty'],
    ['\0', 'nul'],
    ['echo a\0b', 'nul'],
    ['echo \ud800', 'encoding'],
    ['\udc00', 'encoding'],
    ['x'.repeat(maxCommandBytes + 1), 'length'],
    ['€'.repeat(Math.ceil((maxCommandBytes + 1) / 3)), 'length'],
    ['x'.repeat(1024 * 1024), 'length'],
  ] as const) {
    t.throws(
      () => checkCommand(command),
      { code: 'COMMAND_INVALID', details: { reason } },
      `${reason}: ${JSON.stringify(command.slice(0, 20))}`,
    )
  }
})

t.test('what it could', async (t) => {
  for (const command of ['echo hello', 'echo 😀', '#', '-x', 'x'.repeat(maxCommandBytes)]) t.doesNotThrow(() => checkCommand(command))
})

t.test('the message of one that is too long says how long it may be', async (t) => {
  t.throws(() => checkCommand('x'.repeat(200_000)), { message: /got a command of 200000 bytes, expected at most 131071/ })
})

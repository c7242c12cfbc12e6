import t from 'tap'
import { separateCommand } from '../../lib/cli/command-words.ts'

for (const [given, expected] of [
  ['exec ls', 'exec -- ls'],
  ['exec ls -la --json', 'exec -- ls -la --json'],
  ['exec --task-id t ls -la', 'exec --task-id t -- ls -la'],
  ['exec --task-id=t --json ls', 'exec --task-id=t --json -- ls'],
  ['exec --no-json ls', 'exec --no-json -- ls'],
  ['exec --env A=1 --env B=2 cat f', 'exec --env A=1 --env B=2 -- cat f'],
  ['exec --no-output-timeout 5 ls', 'exec --no-output-timeout=5 -- ls'],
  ['exec --no-output-timeout=5 ls', 'exec --no-output-timeout=5 -- ls'],
  ['--no-output-timeout 5 exec ls', '--no-output-timeout=5 exec -- ls'],
  ['exec ls --no-output-timeout 5', 'exec -- ls --no-output-timeout 5'],
  ['exec -- --no-output-timeout 5', 'exec -- --no-output-timeout 5'],
  ['exec --no-output-timeout', 'exec --no-output-timeout='],
  ['exec -v /a:/b --mount /c:/d ls', 'exec -v /a:/b --mount /c:/d -- ls'],
  ['exec -v/a:/b ls', 'exec -v/a:/b -- ls'],
  ['--pool p exec ls exec', '--pool p exec -- ls exec'],
  ['--json exec ls', '--json exec -- ls'],
  ['exec -- ls -- x', 'exec -- ls -- x'],
  ['exec --json -- ls', 'exec --json -- ls'],
  ['exec -', 'exec -- -'],
  ['exec', 'exec'],
  ['exec --task-id', 'exec --task-id'],
  ['exec --help', 'exec --help'],
  ['release --task-id exec ls', 'release --task-id exec ls'],
  ['status --json', 'status --json'],
  ['', ''],
] as const) {
  t.test(`slotpool ${given}`, async (t) => {
    t.same(separateCommand(given.split(' ')), expected.split(' '))
  })
}

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { packageRoot } from '../../lib/package-root.ts'
import { type CliResult, cli } from '../fixtures/cli.ts'

const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8'))

t.test('help and version', async (t) => {
  const { run } = await cli(t)
  const help = await run(['--help'])
  t.match(help, { code: 0, stderr: '' })
  for (const name of ['exec', 'release', 'status', 'up', 'down', 'image', 'doctor']) t.match(help.stdout, `slotpool ${name} `)
  t.match(await run(['exec', '--help']), { code: 0, stderr: '', stdout: /--task-id.*TERMINAL_TIMEOUT.*--json/s })
  t.match(await run(['image', 'build', '--help']), { code: 0, stderr: '', stdout: /--base.*--tag/s })
  t.match(await run(['--version']), { code: 0, stderr: '', stdout: `${version}\n` })
})

t.test('wrong usage is one error on stderr that says what was got, and exits with 2', async (t) => {
  // Whatever language its user speaks.
  const { run } = await cli(t, { LC_ALL: 'de_DE.UTF-8' })
  const cases = [
    [[], /expected a COMMAND; see slotpool --help/],
    [['exce', 'echo', 'hi'], /got command exce, expected one of exec, .*; did you mean exec\?/],
    [['status', 'x'], /Unknown argument: x; see slotpool status --help/],
    [['exec'], /COMMAND/],
    [['exec', '--frobnicate', 'x', 'ls'], /frobnicate/],
    [['exec', '--task-id'], /task-id/],
    [['exec', '--task-id', 'a', '--task-id', 'b', 'ls'], /--task-id: got 2 values, expected one/],
    [['exec', '--timeout', 'soon', 'ls'], /--timeout: got soon, expected seconds/],
    [['exec', '--no-output-timeout', 'soon', 'ls'], /--no-output-timeout: got soon, expected seconds/],
    [['status', '--mount', '/a:/b'], /mount/],
    [['exec', '--env', 'A', 'ls'], /--env: got A, expected KEY=VALUE/],
    [['exec', '--isolation', 'strong', 'ls'], /isolation.*"strong".*"auto", "jail", "uid", "none"/s],
    [['release'], /--task-id T or --all/],
    [['image'], /expected an image COMMAND/],
    [['down', 'now'], /now/],
  ] as const
  const results = await Promise.all(cases.map(([args]) => run(args)))
  for (const [at, [, says]] of cases.entries()) {
    const result = results[at] as CliResult
    t.match(result, { code: 2, stdout: '', stderr: /^slotpool: USAGE: .*\nRead `--help` of the command and correct its arguments\.\n$/s })
    t.match(result.stderr, says)
    t.equal(result.stderr.match(/USAGE/g)?.length, 1)
  }
})

t.test('with --json the error is one object on stdout', async (t) => {
  const { run } = await cli(t)
  const result = await run(['status', '--json', '--frobnicate'])
  t.match(result, { code: 2, stderr: '' })
  t.match(JSON.parse(result.stdout), { error: { code: 'USAGE', message: /frobnicate/, retryable: false } })
  t.match(
    await run(['exec', '--frobnicate', 'x', 'tool', '--json']),
    { code: 2, stdout: '', stderr: /USAGE/ },
    'but not for a --json of the command',
  )
})

t.test('bad settings name the variable or option, what it got and what it takes, and exit with 2', async (t) => {
  const { run } = await cli(t)
  for (const [env, code, says] of [
    [{ TERMINAL_TIMEUOT: '5' }, 'CONFIG_UNKNOWN_VARIABLE', /TERMINAL_TIMEUOT: unknown variable;.* did you mean TERMINAL_TIMEOUT\?/],
    [{ TERMINAL_TIMEOUT: '-1' }, 'CONFIG_INVALID', /TERMINAL_TIMEOUT: got "-1", expected .*seconds/],
    [{ TERMINAL_POOL: 'My Pool' }, 'CONFIG_INVALID', /TERMINAL_POOL: got "My Pool", expected/],
    [
      { TERMINAL_NOMAD_MIN: '3', TERMINAL_NOMAD_MAX: '2' },
      'CONFIG_INVALID',
      /TERMINAL_NOMAD_MIN: got 3, expected at most TERMINAL_NOMAD_MAX/,
    ],
  ] as const) {
    const result = await run(['exec', 'echo hello'], env)
    t.match(result, { code: 2, stdout: '' })
    t.ok(result.stderr.startsWith(`slotpool: ${code}: `), result.stderr)
    t.match(result.stderr, says)
  }
  t.match(await run(['exec', '--slots', 'many', 'ls']), {
    code: 2,
    stderr: /CONFIG_INVALID: option slots: got "many", expected a whole number/,
  })
})

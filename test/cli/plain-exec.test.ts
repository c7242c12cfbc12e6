import fc from 'fast-check'
import t from 'tap'
import { parserOf } from '../../lib/cli/command-line.ts'
import { separateCommand } from '../../lib/cli/command-words.ts'
import { execCommand } from '../../lib/cli/commands/exec.ts'
import type { ExecArguments } from '../../lib/cli/exec-options.ts'
import { plainExec } from '../../lib/cli/plain-exec.ts'
import { poolOptionsOf } from '../../lib/cli/pool-options.ts'

/** What yargs makes of the words; undefined when it refuses them. */
async function byYargs(words: readonly string[]): Promise<ExecArguments | undefined> {
  let seen: ExecArguments | undefined
  const handler = (args: ExecArguments): void => {
    seen = args
  }
  await parserOf(words, { ...execCommand, handler })
    .parseAsync()
    .catch(() => {})
  return seen
}

/** Of what was read, all that a command looks at. */
function told(args: ExecArguments | undefined): unknown {
  if (!args) return undefined
  const { taskId, timeout, cwd, env, allowEnv, noOutputTimeout, json, trace, '--': command } = args
  return JSON.parse(
    JSON.stringify({ taskId, timeout, cwd, env, allowEnv, noOutputTimeout, json, trace, command, pool: poolOptionsOf(args) }),
  )
}

t.test('what is plain', async (t) => {
  for (const words of [
    ['exec', 'true'],
    ['exec', '--task-id', 'a', 'ls', '-la', '--json'],
    ['exec', '--task-id=a=b', '--json', '--trace', '--', 'x'],
    ['exec', '--env', 'A=1', '--env=B=2', '--allow-env', 'A', '--cwd', '/tmp', '--timeout', '5', '--no-output-timeout', '5', 'x'],
    ['exec', '--backend', 'sandbox', '--pool', 'p', '--slots', '7', '--isolation', 'none', '--network', 'host', '--mount', '/a:/b', 'x'],
    ['exec', '--image', 'i:1', '--tools-image', 't:1', 'x'],
    ['exec', '--task-id', '007', '--min', 'many', 'x'],
    ['exec', '--task-id', 'a\nb', '--env', 'A=two words', 'x'],
  ]) {
    const separated = separateCommand(words)
    const args = plainExec(separated)
    t.ok(args, words.join(' '))
    t.same(told(args), told(await byYargs(separated)))
  }
})

t.test('options of a pool by the names that the library has for them', async (t) => {
  const args = plainExec(separateCommand(['exec', '--backend', 'docker', '--tools-image', 't:1', '--slots', '3', '--env', 'A=1', 'x']))
  t.same(poolOptionsOf(args ?? {}), { env: 'docker', toolsImage: 't:1', slots: 3 })
})

t.test('what needs a word of explanation is left to yargs', async (t) => {
  for (const words of [
    ['status'],
    ['exec'],
    ['exec', '--'],
    ['exec', '--help', 'x'],
    ['exec', '--no-json', 'x'],
    ['exec', '--json=true', 'x'],
    ['exec', '--taskId', 'a', 'x'],
    ['exec', '--task-id', 'a', '--task-id', 'b', 'x'],
    ['exec', '--task-id', '', 'x'],
    ['exec', '--task-id', '-a', 'x'],
    ['exec', '--task-id', '"a"', 'x'],
    ['exec', '--backend', 'podman', 'x'],
    ['exec', '--constructor', 'a', 'x'],
    ['--json', 'exec', 'x'],
    ['exec', '-v', '/a:/b', 'x'],
  ]) {
    t.equal(plainExec(separateCommand(words)), undefined, words.join(' '))
  }
})

t.test('whatever is plain, yargs reads likewise', async (t) => {
  const names = [
    'task-id',
    'timeout',
    'no-output-timeout',
    'cwd',
    'env',
    'allow-env',
    'json',
    'trace',
    'pool',
    'image',
    'tools-image',
    'slots',
    'backend',
  ]
  const value = fc.oneof(
    fc.constantFrom('a', '5', '0x1', '1e3', 'true', 'null', 'A=1', 'local', 'a,b', 'a b', '/a:/b', '@', '$0', '007', '=', 'a="b"'),
    fc.string({ maxLength: 6 }),
  )
  const option = fc
    .tuple(fc.constantFrom(...names), value, fc.boolean())
    .map(([name, one, joined]) => (['json', 'trace'].includes(name) ? [`--${name}`] : joined ? [`--${name}=${one}`] : [`--${name}`, one]))
  let plain = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(option, { maxLength: 4 }),
      fc.array(fc.string(), { minLength: 1, maxLength: 3 }),
      async (options, command) => {
        const words = separateCommand(['exec', ...options.flat(), '--', ...command])
        const args = plainExec(words)
        if (!args) return true
        plain++
        t.strictSame(told(args), told(await byYargs(words)), JSON.stringify(words))
        return JSON.stringify(told(args)) === JSON.stringify(told(await byYargs(words)))
      },
    ),
    { numRuns: 200 },
  )
  t.ok(plain > 50, `${plain} of them were plain`)
})

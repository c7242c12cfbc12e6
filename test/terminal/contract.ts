import type { Test } from 'tap'
import { openBackend } from '../../lib/backend/open-backend.ts'
import { SandboxClient } from '../../lib/client/sandbox-client.ts'
import { loadConfig } from '../../lib/config.ts'
import { type OpenOptions, SlotPool } from '../../lib/pool/slot-pool.ts'
import { Terminal } from '../../lib/terminal/terminal.ts'

/** What the tool does on every backend alike. */
export interface TerminalSubject {
  /** False where a script answers, which knows no more than `echo`, `cat`, `sleep` and the like. */
  realShell: boolean
  /** Plans a pool of the test's own. */
  plan(t: Test, size: { slots: number; max: number }): Promise<{ options: OpenOptions; left(): Promise<string[]> }>
}

export async function terminalContract(t: Test, subject: TerminalSubject): Promise<void> {
  const { options, left } = await subject.plan(t, { slots: 2, max: 1 })
  const terminal = new Terminal(options)
  t.teardown(() => terminal.close())
  const watching = await SlotPool.attach(options)
  t.teardown(() => watching.close())
  const tasks = async () => (await watching.status()).containers.flatMap(({ slots }) => slots.flatMap((one) => one.task_id ?? [])).sort()

  await t.test('first calls at once open one pool, and one slot for one task', async (t) => {
    t.same(await left(), [])
    const results = await Promise.all([terminal.run('echo 1'), terminal.run('echo 2'), terminal.run('echo 3', { task_id: 'b' })])
    t.same(
      results,
      [1, 2, 3].map((n) => ({ output: `${n}\n`, exit_code: 0, error: null })),
    )
    t.equal((await watching.status()).containers.length, 1)
    t.same(await tasks(), ['b', 'default'], 'without a task it is the task "default"')
    await terminal.cleanup('b')
    t.same(await tasks(), ['default'])
  })

  await t.test('three fields, however a command ends', async (t) => {
    t.same(await terminal.run('exit 7'), { output: '', exit_code: 7, error: null })
    for (const [signal, code] of [
      ['KILL', 137],
      ['TERM', 143],
      ['SEGV', 139],
      ['VTALRM', 154],
    ] as const) {
      t.same(await terminal.run(`kill -${signal} $$`), { output: '', exit_code: code, error: null }, signal)
    }
    const both = await terminal.run('for i in 1 2 3; do echo out $i; echo err $i >&2; done')
    t.same(both, { output: 'out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n', exit_code: 0, error: null }, 'in the order of writing')
    t.match(await terminal.run('seq 1 2000000 | head -c 1000000'), {
      output: /^1\n2\n3\n.*bytes left out.*\d\n/s,
      exit_code: 0,
      error: null,
    })
  })

  await t.test('a timeout', async (t) => {
    const result = await terminal.run('echo so far; sleep 8639941', { timeout: 0.5 })
    t.same(Object.keys(result), ['output', 'exit_code', 'error'])
    t.match(result, { output: 'so far\n', exit_code: 124, error: /timed out after 0\.5 s.*longer timeout/ })
    t.match(await terminal.run('echo so far; sleep 8639941', { no_output_timeout: 0.5 }), {
      output: 'so far\n',
      exit_code: 124,
      error: /wrote nothing for 0\.5 s.*background/,
    })
    t.match(await terminal.run("pgrep -f '[s]leep 8639941'"), { output: '', exit_code: 1, error: null })
  })

  await t.test('what a model is told of its slot', async (t) => {
    const told = await terminal.describe()
    t.match(told, /^You work .*, as user (root|agent)\.\n/)
    t.match(told, (await terminal.run('pwd')).output.trim())
    await terminal.describe('another')
    t.same(await tasks(), ['another', 'default'], 'the slot is had for it')
    await terminal.cleanup('another')
  })

  await t.test('what cannot be run', async (t) => {
    const made = (value: unknown) => value as never
    for (const [command, given, error] of [
      ['', {}, /^command: COMMAND_INVALID: .*empty/],
      ['', { background: true }, /^command: COMMAND_INVALID: .*empty/],
      ['echo a\0b', {}, /^command: COMMAND_INVALID: .*NUL byte at character 6/],
      ['echo a\0b', { background: true }, /^command: COMMAND_INVALID: .*NUL byte at character 6/],
      ['echo \ud800', {}, /^command: COMMAND_INVALID: .*well-formed/],
      [`echo ${'x'.repeat(200_000)}`, {}, /^command: COMMAND_INVALID: .*200005 bytes.*write it to a file/],
      [`echo ${'x'.repeat(1024 * 1024)}`, {}, /^command: COMMAND_INVALID: .*1048581 bytes.*write it to a file/],
      [made(undefined), {}, /^command: COMMAND_INVALID: command: got undefined, expected text/],
      [made(7), {}, /^command: COMMAND_INVALID: command: got 7, expected text/],
      ['echo hello', made(null), /^command: REQUEST_INVALID: options: got null/],
      ['echo hello', { timeout: 0 }, /^command: REQUEST_INVALID: timeout: got 0, expected seconds above 0/],
      ['echo hello', { timeout: Number.NaN }, /^command: REQUEST_INVALID: timeout: got NaN/],
      ['echo hello', { timeout: made('60') }, /^command: REQUEST_INVALID: timeout: got "60"/],
      ['echo hello', { no_output_timeout: 0 }, /^command: REQUEST_INVALID: no_output_timeout: got 0, expected seconds above 0/],
      ['echo hello', { background: made('false') }, /^command: REQUEST_INVALID: background: got "false", expected true or false/],
      ['echo hello', { task_id: '' }, /^command: REQUEST_INVALID: task id: got ""/],
      ['echo hello', { task_id: made(7) }, /^command: REQUEST_INVALID: task id: got 7/],
    ] as const) {
      const result = await terminal.run(command, given)
      t.match(result, { output: '', exit_code: 125, error })
      t.match(result.error, /\. Trying again will not help\. [A-Z].*\.$/)
    }
    t.match(await terminal.run('echo hello'), { output: 'hello\n' }, 'and the next one is')
  })

  await t.test('a full pool', async (t) => {
    const impatient = new Terminal({ ...options, timeoutMs: 200 })
    t.teardown(() => impatient.close())
    await impatient.run('echo 1', { task_id: 'other' })
    const result = await impatient.run('echo 1', { task_id: 'one too many' })
    t.match(result, { output: '', exit_code: 125, error: /^lost: POOL_FULL: .*2 of 2 slots.* Worth trying again\. Release slots/ })
    await impatient.cleanup('other')
    t.match(await impatient.run('echo 1', { task_id: 'one too many' }), { output: '1\n', exit_code: 0 })
    await impatient.close()
    t.same(await tasks(), ['default'])
  })

  if (subject.realShell) await t.test('in the background', (t) => background(t, terminal))

  await t.test('closing releases every slot; the next command opens the pool again', async (t) => {
    await terminal.run('echo hi > f', { task_id: 'b' })
    t.same(await tasks(), ['b', 'default'])
    const running = terminal.run('echo begun; sleep 8639942', { task_id: 'b' })
    await terminal.run('echo 1')
    await terminal.close()
    t.match(await running, { exit_code: 125, error: /./ })
    t.same(await tasks(), [])
    await terminal.close()
    t.match(await terminal.run('ls', { task_id: 'b' }), { output: '', exit_code: 0 }, 'in a clean slot')
    const both = [terminal.run('echo 1', { task_id: 'c' }), terminal.close()] as const
    await Promise.all(both)
    t.same(await tasks(), [], 'closed while a slot was being leased')
  })

  await t.test('a lease that expired is told once; then the task starts over', async (t) => {
    const { options } = await subject.plan(t, { slots: 1, max: 1 })
    const terminal = new Terminal({ ...options, lifetimeMs: 1500 })
    t.teardown(() => terminal.close())
    t.match(await terminal.run('echo hi > f'), { exit_code: 0 })
    await slotIsIdle(t, options)
    t.match(await terminal.run('cat f'), {
      output: '',
      exit_code: 125,
      error: /^lost: LEASE_LOST: .* Worth trying again: the next command starts in a fresh, empty workspace/,
    })
    t.same(await terminal.run('ls'), { output: '', exit_code: 0, error: null })
    await terminal.close()
    await takenDown(options)
  })

  await terminal.close()
  await takenDown(options)
  t.same(await left(), [])
}

async function background(t: Test, terminal: Terminal): Promise<void> {
  const started = await terminal.run('echo "it\'s on"; echo oops >&2; sleep 8639943', { background: true, timeout: 20 })
  t.match(started, {
    exit_code: 0,
    error: null,
    output: /^Started in the background with process id \d+\. Its output goes to \S+; end it with: kill -- -\d+\n$/,
  })
  const [, pid, log] = /process id (\d+)\. Its output goes to (\S+);/.exec(started.output) ?? []
  t.match(await terminal.run(`until grep -q oops ${log}; do :; done; cat ${log}`), { output: "it's on\noops\n", exit_code: 0 })
  t.match(await terminal.run("pgrep -f '[s]leep 8639943' > /dev/null"), { exit_code: 0 }, 'it goes on')
  t.match(
    await terminal.run(`kill -- -${pid}; while pgrep -f '[s]leep 8639943' > /dev/null; do :; done`),
    { exit_code: 0 },
    'until it is ended',
  )

  await terminal.run('sleep 8639944', { background: true, task_id: 'server' })
  await terminal.cleanup('server')
  t.match(await terminal.run("pgrep -f '[s]leep 8639944'", { task_id: 'server' }), { output: '', exit_code: 1 }, 'or its lease has')
  await terminal.cleanup('server')
}

/** Ends the pool, as somebody else may. */
export async function takenDown(options: OpenOptions): Promise<void> {
  const pool = await SlotPool.attach(options)
  await pool.down()
}

/** Waits for the server itself to say that it has an idle slot, which is no use of the lease. */
async function slotIsIdle(t: Test, options: OpenOptions): Promise<void> {
  const { backend: given, ...rest } = options
  const backend = given ?? (await openBackend(loadConfig(rest), () => {}))
  const [container] = await backend.list()
  const client = new SandboxClient(container?.endpoint ?? { url: '' }, await backend.token())
  t.equal(await client.idle(60_000), 1)
  await client.close()
  if (!given) await backend.close()
}

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { sandboxServerProgram } from '../../lib/package-root.ts'
import { cli } from '../fixtures/cli.ts'

t.test('exec', async (t) => {
  const { run, bash } = await cli(t)

  await t.test('stdout, stderr and exit code are those of the command', async (t) => {
    t.match(await run(['exec', 'echo hello']), { code: 0, stdout: 'hello\n', stderr: '' })
    t.match(await run(['exec', 'echo out; echo err >&2; exit 7']), { code: 7, stdout: 'out\n', stderr: 'err\n' })
    t.match(await run(['exec', 'kill -TERM $$']), { code: 143, stdout: '', stderr: '' })
  })

  await t.test('words after COMMAND are its own, options of slotpool stand before', async (t) => {
    t.match(await run(['exec', 'printf', '%s-', '-n', '--json', '--help', 'x']), { code: 0, stdout: '-n---json---help-x-' })
    t.match(await run(['exec', '--', 'echo', '--version']), { code: 0, stdout: '--version\n' })
    t.match(await run(['--timeout', '30', 'exec', '--no-json', 'echo', '7']), { code: 0, stdout: '7\n' })
  })

  await t.test('a timeout keeps the output so far, exits with 124 and leaves no process', async (t) => {
    const result = await run(['exec', '--task-id', 'late', '--timeout', '1', 'echo x; sleep 8639911 & sleep 8639911'])
    t.match(result, { code: 124, stdout: 'x\n', stderr: 'slotpool: timed out after 1 s\n' })
    t.match(await run(['exec', '--task-id', 'late', "pgrep -f '[s]leep 8639911'"]), { code: 1, stdout: '' })
    const fromVariable = await run(['exec', '--task-id', 'late', '--json', 'sleep 60'], { TERMINAL_TIMEOUT: '0.5' })
    t.match(fromVariable, { code: 124, stderr: '' })
    t.match(JSON.parse(fromVariable.stdout), { exit_code: 124, timed_out: true, signal: 'SIGKILL' })
    await run(['release', '--task-id', 'late'])
  })

  await t.test('10 MiB arrive whole, and bytes as they are', async (t) => {
    const bytes = 10 * 1024 * 1024
    const result = await run(['exec', `seq 1 2000000 | head -c ${bytes}`])
    const expected = Buffer.from(Array.from({ length: 2_000_000 }, (_, i) => `${i + 1}\n`).join('')).subarray(0, bytes)
    t.match(result, { code: 0, stderr: '' })
    t.equal(result.bytes.length, bytes)
    t.equal(sha256(result.bytes), sha256(expected))
    t.same((await run(['exec', "printf '\\xff\\x00\\xfe'"])).bytes, Buffer.from([0xff, 0, 0xfe]))
  })

  await t.test('--json prints one object', async (t) => {
    const { code, stdout, stderr } = await run(['exec', '--json', '--task-id', 'json', 'echo out; echo err >&2; exit 3'])
    t.equal(code, 3)
    t.equal(stderr, '')
    t.match(stdout, /^\{.*\}\n$/)
    const { execution_id, duration_ms, phases_ms, provenance, ...rest } = JSON.parse(stdout)
    t.same(rest, {
      task_id: 'json',
      stdout: 'out\n',
      stderr: 'err\n',
      exit_code: 3,
      signal: null,
      timed_out: false,
      timeout: null,
      limit: null,
      failure: { kind: 'command', retryable: false },
      skipped_env: [],
      truncated: false,
    })
    t.match(execution_id, /^[0-9a-f-]{36}$/)
    t.type(duration_ms, 'number')
    const program = createHash('sha256').update(readFileSync(sandboxServerProgram())).digest('hex')
    t.match(provenance, { image: null, server: { version: /^\d+\.\d+\.\d+/, digest: `sha256:${program}` } })
    t.same(Object.keys(phases_ms), ['client', 'wire', 'queue', 'enter', 'run', 'drain'])
    t.equal(phases_ms.run, duration_ms)
    t.ok(Object.values(phases_ms as Record<string, number>).every((ms) => ms >= 0))
    t.match(JSON.parse((await run(['exec', '--json', 'kill -9 $$'])).stdout), { task_id: null, exit_code: 137, signal: 'SIGKILL' })
    await run(['release', '--task-id', 'json'])
  })

  await t.test('--trace says where the time went, and leaves stdout alone', async (t) => {
    const parts = (names: string[]) => new RegExp(`^slotpool: ${names.map((name) => `${name} [\\d.]+`).join(', ')} ms\n$`)
    const phases = ['start', 'open', 'lease', 'client', 'wire', 'queue', 'enter', 'run', 'drain']
    t.match(await run(['exec', '--trace', '--task-id', 'trace', 'echo out']), { code: 0, stdout: 'out\n', stderr: parts(phases) })
    await run(['release', '--task-id', 'trace'])
    t.match(await run(['exec', '--trace', 'exit 3']), { code: 3, stdout: '', stderr: parts([...phases, 'release']) })
  })

  await t.test('--env, more than once, and --cwd', async (t) => {
    const env = ['--env', 'A=1=2', '--env', 'B=$A ü', '--env=C=']
    t.match(await run(['exec', ...env, 'echo "[$A] [$B] [$C]"']), { code: 0, stdout: '[1=2] [$A ü] []\n' })
    t.match(await run(['exec', '--cwd', '/usr/bin', 'pwd']), { code: 0, stdout: '/usr/bin\n' })
    t.match(await run(['exec', 'pwd'], { TERMINAL_CWD: '/usr' }), { code: 0, stdout: '/usr\n' })
  })

  await t.test('reserved variables are left out and named, --allow-env passes one on', async (t) => {
    const env = ['--env', 'PATH=/x', '--env', 'MY_API_KEY=k', '--env', 'A=1']
    t.match(await run(['exec', ...env, 'echo "[$MY_API_KEY] [$A]"']), {
      code: 0,
      stdout: '[] [1]\n',
      stderr: 'slotpool: not passed on, for they are reserved: PATH, MY_API_KEY; --allow-env passes one on by name\n',
    })
    const allowed = await run(['exec', '--json', '--allow-env', 'MY_API_KEY', ...env, 'echo "[$MY_API_KEY] [$A]"'])
    t.match(allowed, { code: 0, stderr: '' })
    t.match(JSON.parse(allowed.stdout), { stdout: '[k] [1]\n', skipped_env: ['PATH'] })
  })

  await t.test('two shells with one task share its slot; without a task the slot is handed back', async (t) => {
    t.match(await bash("slotpool exec --task-id a 'echo hi > f; pwd'"), { code: 0, stdout: /^\/.+\n$/ })
    t.match(await bash("slotpool exec --task-id a 'cat f'"), { code: 0, stdout: 'hi\n' })
    t.match(await run(['exec', '--task-id', 'b', 'ls']), { code: 0, stdout: '' }, 'another task sees nothing of it')
    await run(['release', '--task-id', 'b'])
    t.match(await run(['exec', 'ls']), { code: 0, stdout: '' })
    const status = JSON.parse((await run(['status', '--json'])).stdout)
    t.match(status.totals, { leased: 1 })
  })

  await t.test('output that cannot be written is a failure of ours, whatever the command came to', async (t) => {
    for (const [command, words] of [
      ["exec 'echo hi'", true],
      ["exec --json 'echo hi'", true],
      ['status', true],
      ["exec 'echo hi >&2' 2>/dev/full >/dev/null", false],
    ] as const) {
      const { stdout } = await bash(`{ slotpool ${words ? `${command} >/dev/full` : command}; } 2>&1; echo "code $?"`)
      t.match(
        stdout,
        words ? /^slotpool: OUTPUT_FAILED: stdout could not be written: ENOSPC.*\nMake room.*\ncode 125\n$/ : /^code 125\n$/,
        command,
      )
    }
  })

  await t.test('whoever reads the output may go', async (t) => {
    for (const command of ['yes', 'yes >&2', 'yes & yes >&2']) {
      const script = `{ slotpool exec '${command}' 2>&1; echo "code $?" > "$XDG_STATE_HOME/code"; } | head -1; cat "$XDG_STATE_HOME/code"`
      t.match(await bash(script), { code: 0, stdout: 'y\ncode 141\n', stderr: '' }, command)
    }
    const { totals } = JSON.parse((await run(['status', '--json'])).stdout)
    t.equal(totals.leased, 1, 'the slots of these commands came back')
  })
})

function sha256(data: Buffer): string {
  return createHash('sha256').update(data).digest('hex')
}

import { createHash } from 'node:crypto'
import type { Test } from 'tap'
import { sleepers } from '../../fixtures/sleepers.ts'
import type { PoolUnderTest } from './pool-under-test.ts'

const sleeper = sleepers()

/** How commands are run, and what comes back of them. */
export async function commandContract(t: Test, { pool }: PoolUnderTest): Promise<void> {
  const slot = await pool.lease('commands')
  t.teardown(() => slot.release())

  await t.test('how a command ended', async (t) => {
    for (const code of [0, 1, 7, 124, 125, 255]) {
      const result = await slot.exec(`exit ${code}`)
      t.match(result, { exitCode: code, signal: null, timedOut: false, truncated: false })
      t.same(result.failure, code === 0 ? null : { kind: 'command', retryable: false })
    }
    for (const signal of ['KILL', 'TERM', 'HUP']) {
      t.match(await slot.exec(`kill -${signal} $$`), {
        exitCode: null,
        signal: `SIG${signal}`,
        timedOut: false,
        failure: { kind: 'command' },
      })
    }
  })

  await t.test('a timeout keeps what was written and leaves no process', async (t) => {
    const result = await slot.exec(`echo partial; ${sleeper.command(2)} & ${sleeper.command(2)}`, { timeoutMs: 1000 })
    t.match(result, {
      stdout: 'partial\n',
      exitCode: null,
      signal: 'SIGKILL',
      timedOut: true,
      timeout: 'total',
      failure: { kind: 'timeout' },
    })
    t.equal((await slot.exec(sleeper.find(2))).exitCode, 1)
    t.equal((await slot.exec('echo hello')).stdout, 'hello\n', 'the slot still serves')
  })

  await t.test('so does one that is silent for too long, however long it may run', async (t) => {
    const options = { timeoutMs: 60_000, noOutputTimeoutMs: 1000 }
    const silent = await slot.exec(`echo 1; ${sleeper.command(8)}`, options)
    t.match(silent, { stdout: '1\n', exitCode: null, signal: 'SIGKILL', timedOut: true, timeout: 'no-output', limit: null })
    t.equal((await slot.exec(sleeper.find(8))).exitCode, 1)
    t.match(await slot.exec('echo hello', options), { stdout: 'hello\n', timedOut: false, timeout: null })
  })

  await t.test('an aborted command leaves no process', async (t) => {
    const controller = new AbortController()
    const options = { signal: controller.signal, onStdout: () => controller.abort() }
    await t.rejects(slot.exec(`echo started; ${sleeper.command(3)}`, options), { code: 'CANCELLED', failure: 'cancelled' })
    t.equal((await slot.exec(sleeper.find(3))).exitCode, 1)
    await t.rejects(slot.exec('echo hello', { signal: AbortSignal.abort() }), { code: 'CANCELLED' })
    const early = new AbortController()
    const running = slot.exec(`echo started; ${sleeper.command(4)}`, { signal: early.signal })
    early.abort()
    await t.rejects(running, { code: 'CANCELLED' }, 'even when it is aborted on its way')
    t.equal((await slot.exec(sleeper.find(4))).exitCode, 1)
  })

  await t.test('a background child that holds stdout delays nothing', async (t) => {
    t.match(await slot.exec(`${sleeper.command(5)} & echo started`), { stdout: 'started\n', exitCode: 0, timedOut: false })
    t.equal((await slot.exec(sleeper.find(5))).exitCode, 0, 'and goes on')
  })

  await t.test('output', async (t) => {
    t.match(await slot.exec('for i in 1 2 3; do echo out $i; echo err $i >&2; done'), {
      stdout: 'out 1\nout 2\nout 3\n',
      stderr: 'err 1\nerr 2\nerr 3\n',
    })
    const merged = await slot.exec('for i in 1 2 3; do echo out $i; echo err $i >&2; done', { mergeStderr: true })
    t.match(merged, { stdout: 'out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n', stderr: '' })

    const pieces: string[] = []
    const split = await slot.exec("printf '\\xe2\\x82'; sleep 0.1; printf '\\xac'", { onStdout: (piece) => void pieces.push(piece) })
    t.equal(split.stdout, '€')
    t.same(pieces, ['€'])

    const bytes = 10 * 1024 * 1024
    const large = await slot.exec(`seq 1 2000000 | head -c ${bytes}`)
    const expected = Buffer.from(Array.from({ length: 2_000_000 }, (_, i) => `${i + 1}\n`).join('')).subarray(0, bytes)
    t.equal(large.truncated, false)
    t.equal(large.stdout.length, bytes)
    t.equal(sha256(large.stdout), sha256(expected))

    const bounded = await slot.exec(`seq 1 2000000 | head -c ${bytes}`, { maxOutputBytes: 1000 })
    t.ok(bounded.truncated)
    t.match(bounded.stdout, /^1\n2\n3\n.*bytes left out.*\n/s)
    t.ok(bounded.stdout.length < 1100)
  })

  await t.test('environment and folder', async (t) => {
    const value = 'häl lo\n"x" $HOME \\'
    t.equal((await slot.exec('printf %s "$GREETING"', { env: { GREETING: value } })).stdout, value)
    t.equal((await slot.exec('printf %s "$GREETING"')).stdout, '')
    t.equal((await slot.exec('pwd')).stdout, `${slot.workspace}\n`)
    await slot.exec('mkdir sub')
    t.equal((await slot.exec('pwd', { cwd: 'sub' })).stdout, `${slot.workspace}/sub\n`)
    t.equal((await slot.exec('pwd', { cwd: `${slot.workspace}/sub` })).stdout, `${slot.workspace}/sub\n`)
    await t.rejects(slot.exec('pwd', { cwd: 'nowhere' }), { code: 'CWD_NOT_FOUND', details: { cwd: 'nowhere' } })
  })

  await t.test('variables that are reserved are left out and named, unless they are allowed', async (t) => {
    const env = { GREETING: 'hello', HOME: '/nowhere', OPENAI_API_KEY: 'k' }
    const home = await slot.exec('printf %s "$HOME"', { env })
    t.same([home.stdout, home.skippedEnv], [slot.view.home, ['HOME', 'OPENAI_API_KEY']])
    t.match(await slot.exec('printf %s "$OPENAI_API_KEY"', { env }), { stdout: '' })
    const allowed = await slot.exec('printf %s "$OPENAI_API_KEY"', { env, allowEnv: ['OPENAI_API_KEY'] })
    t.same([allowed.stdout, allowed.skippedEnv], ['k', ['HOME']])
    t.same((await slot.exec('printf %s "$SLOTPOOL_WORKSPACE"')).stdout, slot.view.workspace)
  })

  await t.test('what is no command', async (t) => {
    for (const [command, reason] of [
      ['', 'empty'],
      [' \n', 'empty'],
      ['echo a\0b', 'nul'],
      ['echo \ud800', 'encoding'],
      [`echo ${'x'.repeat(1024 * 1024)}`, 'length'],
    ] as const) {
      await t.rejects(slot.exec(command), { code: 'COMMAND_INVALID', details: { reason } })
    }
    await t.rejects(slot.exec('echo hello', { timeoutMs: 0.5 }), { code: 'CONFIG_INVALID' })
    await t.rejects(slot.exec('echo hello', { noOutputTimeoutMs: 0 }), { code: 'CONFIG_INVALID' })
    for (const env of [{ 'A=B': 'c' }, { '': 'c' }, { 'A\0': 'c' }, { A: 'c\0' }, { A: '\ud800' }]) {
      await t.rejects(slot.exec('echo hello', { env }), { code: 'ENV_INVALID', details: { name: Object.keys(env)[0] } })
    }
    t.equal((await slot.exec('echo hello')).stdout, 'hello\n')
  })
}

function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex')
}

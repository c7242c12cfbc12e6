import t from 'tap'
import { execute } from '../../lib/client/execute.ts'
import { ran, sandboxServer } from '../fixtures/sandbox-server.ts'
import { sleepers } from '../fixtures/sleepers.ts'

const sleeper = sleepers()

t.test('an execution whose result is no longer kept is not run again', async (t) => {
  let runs = 0
  const script = () => {
    runs++
    return { stdout: Buffer.alloc(6 * 1024 * 1024, 'x') }
  }
  const { client, lease } = await sandboxServer(t, { script })
  const { leaseId } = await lease('a')
  for (const executionId of ['first', 'second', 'third', 'fourth']) await ran(client, leaseId, 'large', { executionId })
  t.equal(runs, 4)
  await t.rejects(ran(client, leaseId, 'large', { executionId: 'first' }), { code: 'EXECUTION_OUTCOME_UNKNOWN' })
  t.equal((await ran(client, leaseId, 'large', { executionId: 'fourth' })).stdoutBytes, 6 * 1024 * 1024, 'the newest is kept')
  t.equal(runs, 4)
})

t.test('an execution that never was', async (t) => {
  const { client, lease } = await sandboxServer(t)
  const { leaseId } = await lease('a')
  const sink = { onStdout: () => {}, onStderr: () => {}, onGap: () => {} }
  await t.rejects(execute(client, { leaseId, executionId: 'never', sink }), { code: 'EXECUTION_NOT_FOUND' })
  await t.rejects(client.cancel(leaseId, 'never'), { code: 'EXECUTION_NOT_FOUND' })
})

t.test('bad offsets are refused before anything runs', async (t) => {
  let runs = 0
  const { client, lease } = await sandboxServer(t, { script: () => ({ stdout: String(++runs) }) })
  const { leaseId } = await lease('a')
  const request = { command: 'x', timeoutMs: 1000 }
  for (const offsets of [{ stdout: -1 }, { stdout: '0' as unknown as number }, { stderr: 1.5 }, { other: 1 }]) {
    let answer = ''
    const sink = {
      onFrame: (_type: number, payload: Buffer) => {
        answer += payload
        return undefined
      },
    }
    await client.channels.ask({ leaseId, executionId: 'one', request, ...offsets }, sink, undefined, () => {})
    t.match(JSON.parse(answer), { code: 'REQUEST_INVALID' })
  }
  t.equal(runs, 0)
})

t.test('one that ended is read again, from any place', async (t) => {
  const { client, lease } = await sandboxServer(t)
  const { leaseId } = await lease('a')
  await ran(client, leaseId, 'echo hello; echo warning >&2', { executionId: 'one' })
  const seen: string[] = []
  const sink = {
    onStdout: (chunk: Buffer) => void seen.push(`out ${chunk}`),
    onStderr: (chunk: Buffer) => void seen.push(`err ${chunk}`),
    onGap: () => {},
  }
  for (let i = 0; i < 2; i++) t.match(await execute(client, { leaseId, executionId: 'one', sink }), { exitCode: 0, executionId: 'one' })
  t.same(seen, ['out hello\n', 'err warning\n', 'out hello\n', 'err warning\n'])
})

t.test('a release ends what runs, as cancelled', async (t) => {
  const { client, lease } = await sandboxServer(t)
  const { leaseId } = await lease('a')
  let released: Promise<void> | undefined
  const onStdout = () => {
    released = client.release(leaseId)
  }
  const result = await ran(client, leaseId, `echo started; ${sleeper.command(21)}`, { onStdout })
  t.match(result, { stdout: 'started\n', cancelled: true, timedOut: false, exitCode: null })
  await released
  await t.rejects(ran(client, leaseId, 'echo hello'), { code: 'LEASE_LOST' })
})

t.test('nothing runs under a provisional lease', async (t) => {
  const { client } = await sandboxServer(t)
  const { lease } = await client.lease({ taskId: 'a', owner: 'me', ttlMs: 60_000, provisional: true })
  await t.rejects(ran(client, lease.leaseId, 'echo hello'), { code: 'LEASE_CONTENDED' })
  await client.confirm(lease.leaseId)
  t.equal((await ran(client, lease.leaseId, 'echo hello')).stdout, 'hello\n')
})

t.test('a command with an environment that the kernel does not take', async (t) => {
  const { client, lease } = await sandboxServer(t)
  const { leaseId } = await lease('a')
  const request = { env: { LARGE: 'x'.repeat(200_000) } }
  await t.rejects(ran(client, leaseId, 'echo hello', { request }), { code: 'COMMAND_INVALID', details: { reason: 'length' } })
  const larger = { env: { LARGE: 'x'.repeat(2_000_000) } }
  await t.rejects(ran(client, leaseId, 'echo hello', { request: larger }), { code: 'REQUEST_INVALID', message: /expected at most 1048576/ })
  t.equal((await ran(client, leaseId, 'echo hello')).stdout, 'hello\n')
})

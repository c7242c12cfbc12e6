import { randomUUID } from 'node:crypto'
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import type { Script } from '../../lib/backend/fake/scripted-execution.ts'
import { ScriptedJails, ScriptedRuntime } from '../../lib/backend/fake/scripted-runtime.ts'
import { execute } from '../../lib/client/execute.ts'
import { SandboxClient } from '../../lib/client/sandbox-client.ts'
import type { SlotpoolError } from '../../lib/errors.ts'
import type { Execution } from '../../lib/sandbox/execution.ts'
import { Executions } from '../../lib/sandbox/executions.ts'
import { JailRuntime } from '../../lib/sandbox/jail-runtime.ts'
import { LeaseTable } from '../../lib/sandbox/lease-table.ts'
import { ownProvenance } from '../../lib/sandbox/provenance.ts'
import { Slots } from '../../lib/sandbox/slots.ts'
import { executionRequest } from '../../lib/wire/execution.ts'
import { noLimits } from '../../lib/wire/limits.ts'
import { MovedClock } from '../fixtures/moved-clock.ts'
import { ran, sandboxServer } from '../fixtures/sandbox-server.ts'
import { sleepers } from '../fixtures/sleepers.ts'

const sleeper = sleepers()

const minuteMs = 60_000
const sixMib = 6 * 1024 * 1024

/** A server whose commands write 6 MiB each, and how many of them were run. */
async function largeOutputs(t: Test) {
  const clock = new MovedClock()
  const runs: string[] = []
  const script: Script = ({ command }) => {
    runs.push(command)
    return { stdout: Buffer.alloc(sixMib, 'x') }
  }
  const { client, endpoint, token } = await sandboxServer(t, { script, clock })
  const { leaseId } = (await client.lease({ taskId: 'a', owner: 'me', ttlMs: 24 * 60 * minuteMs })).lease
  const runBy = (client: SandboxClient) => (executionId: string) => ran(client, leaseId, 'large', { executionId })
  const another = () => {
    const client = new SandboxClient(endpoint, token)
    t.teardown(() => client.close())
    return runBy(client)
  }
  return { clock, runs, run: runBy(client), another, client, leaseId }
}

t.test('of outputs that are too much together the oldest go, and how their commands ended stays known', async (t) => {
  const { runs, run } = await largeOutputs(t)
  for (const executionId of ['first', 'second', 'third', 'fourth']) t.match(await run(executionId), { missedBytes: 0 })
  t.match(await run('first'), { exitCode: 0, stdoutBytes: sixMib, missedBytes: sixMib, stdout: '' })
  t.match(await run('fourth'), { exitCode: 0, missedBytes: 0 }, 'the newest is kept')
  t.equal(runs.length, 4, 'nothing was run again')
})

t.test('output that was had goes before older output that was not', async (t) => {
  const { runs, run, another } = await largeOutputs(t)
  // Nobody asks for anything more over that connection.
  await another()('not-had')
  await run('had')
  await run('newest')
  t.match(await another()('not-had'), { missedBytes: 0 })
  t.match(await another()('had'), { exitCode: 0, missedBytes: sixMib })
  t.equal(runs.length, 3)
})

t.test('results are kept for ten minutes, output that was had for one', async (t) => {
  const { clock, runs, run } = await largeOutputs(t)
  await run('had')
  await run('last')
  clock.move(2 * minuteMs)
  t.match(await run('last'), { missedBytes: 0 })
  t.match(await run('had'), { exitCode: 0, missedBytes: sixMib })
  clock.move(9 * minuteMs)
  for (const executionId of ['had', 'last']) await t.rejects(run(executionId), { code: 'EXECUTION_RESULT_DROPPED' })
  t.equal(runs.length, 2)
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

t.test('the same request with its variables in another order is the same, and runs once', async (t) => {
  let runs = 0
  const { client, lease } = await sandboxServer(t, { script: () => ({ stdout: String(++runs) }) })
  const { leaseId } = await lease('a')
  const run = (request: object) => ran(client, leaseId, 'x', { executionId: 'one', request })
  t.equal((await run({ env: { A: '1', B: '2' } })).stdout, '1')
  t.equal((await run({ env: { B: '2', A: '1' } })).stdout, '1')
  await t.rejects(run({ env: { B: '1', A: '2' } }), { code: 'EXECUTION_CONFLICT' })
})

t.test('no id is run twice under a lease, however many came since, nor one that was ended before it came', async (t) => {
  const clock = new MovedClock()
  const slots = new Slots({ count: 1, kind: new ScriptedJails(), folder: '/', log: pino({ enabled: false }), clock })
  const terms = { limits: noLimits, mounts: [], provenance: ownProvenance }
  const leases = new LeaseTable({ bootId: randomUUID(), slots, terms, clock, log: pino({ enabled: false }), onEnd: () => {} })
  t.teardown(async () => {
    await leases.releaseAll('the test is over')
    await slots.close()
  })
  let runs = 0
  const executions = new Executions(leases, new ScriptedRuntime(() => ({ stdout: String(++runs) })), clock)
  const asked = { taskId: 'a', owner: 'me', ttlMs: 24 * 60 * minuteMs, provisional: false, metadata: {} }
  const { lease } = await leases.acquire(asked)
  const request = executionRequest.parse({ command: 'x', timeoutMs: 1000 })
  const count = 11_000
  for (let at = 0; at < count; at++) await executions.cancel(lease, `never-came-${at}`).catch(() => {})
  for (let at = 0; at < count; at++) {
    executions.start(lease, `run-${at}`, request)
    if (at % 100 === 0) await turnOfTheLoop()
  }
  while (runs < count || lease.uses > 0) await turnOfTheLoop()
  t.throws(() => executions.start(lease, 'run-0', request), { code: 'EXECUTION_RESULT_DROPPED' }, 'beyond ten thousand')
  t.match(executions.start(lease, `run-${count - 1}`, request).outcome, { end: { exitCode: 0 } })
  clock.move(11 * minuteMs)
  const refusal = (id: string): unknown => {
    try {
      return executions.start(lease, id, request).id
    } catch (error) {
      return (error as SlotpoolError).code
    }
  }
  const refusals = new Set(Array.from({ length: count }, (_, at) => `${refusal(`run-${at}`)} ${refusal(`never-came-${at}`)}`))
  t.same([...refusals], ['EXECUTION_RESULT_DROPPED CANCELLED'])
  t.equal(runs, count)
})

t.test('of a command that has ended its result is kept, and nothing of what ran it', async (t) => {
  const made: WeakRef<object>[] = []
  class WatchedRuntime extends JailRuntime {
    override execution(...of: Parameters<JailRuntime['execution']>): Execution {
      const execution = super.execution(...of)
      made.push(new WeakRef(execution))
      return execution
    }
  }
  const { client, lease } = await sandboxServer(t, { runtime: WatchedRuntime })
  const { leaseId } = await lease('a')
  const commands = ['echo hello', 'sleep 0.1; echo hello', 'exit 3', 'echo hello; sleep 30 & echo more']
  for (const [at, command] of commands.entries()) await ran(client, leaseId, command, { executionId: `one-${at}` })
  // Whatever holds the last one, it holds no other.
  await ran(client, leaseId, 'true')
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  const giveUpAt = Date.now() + 20_000
  while (made.slice(0, -1).some((one) => one.deref()) && Date.now() < giveUpAt) {
    await new Promise((resolve) => setTimeout(resolve, 10))
    collect()
  }
  t.same(
    made.slice(0, -1).map((one) => one.deref()),
    commands.map(() => undefined),
  )
  t.match(await ran(client, leaseId, commands[2] as string, { executionId: 'one-2' }), { exitCode: 3 })
})

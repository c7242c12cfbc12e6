import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import t, { type Test } from 'tap'
import { SandboxClient } from '../../lib/client/sandbox-client.ts'
import { frameType } from '../../lib/wire/frames.ts'
import { channelHead } from '../fixtures/channel-head.ts'
import { clientThroughProxy } from '../fixtures/cutting-proxy.ts'
import { ran, sandboxServer } from '../fixtures/sandbox-server.ts'
import { sleepers } from '../fixtures/sleepers.ts'

const sleeper = sleepers()

t.setTimeout(120_000)

t.test('connections that break in the middle of an answer', async (t) => {
  const { endpoint, token, lease } = await sandboxServer(t)
  const { leaseId } = await lease('a')
  const { proxy, client } = await clientThroughProxy(t, { endpoint, token })
  const expected = Array.from({ length: 200_000 }, (_, i) => `${i + 1}\n`).join('')

  await t.test('the answer arrives whole, and the command ran once', async (t) => {
    for (const afterBytes of [0, 1, 300, 4096, 70_000, 700_000, expected.length - 100]) {
      await ran(client, leaseId, 'rm -f runs')
      proxy.cutAfter(afterBytes)
      const result = await ran(client, leaseId, 'echo ran >> runs; seq 1 200000')
      t.equal(proxy.cuts, 1, `after ${afterBytes} bytes`)
      t.match(result, { exitCode: 0, missedBytes: 0, stdoutBytes: expected.length })
      t.ok(result.stdout === expected)
      proxy.cutAfter(undefined)
      t.equal((await ran(client, leaseId, 'cat runs')).stdout, 'ran\n')
    }
  })

  await t.test('even when they break again and again', async (t) => {
    proxy.cutAfter(200_000, 5)
    const result = await ran(client, leaseId, 'echo ran > many; seq 1 200000')
    t.equal(proxy.cuts, 5)
    t.ok(result.stdout === expected)
    proxy.cutAfter(undefined)
    t.equal((await ran(client, leaseId, 'cat many')).stdout, 'ran\n')
  })

  await t.test('one that takes output and breaks is no error of the command', async (t) => {
    proxy.cutAfter(0)
    t.match(await ran(client, leaseId, 'exit 7'), { exitCode: 7 })
    proxy.cutAfter(undefined)
  })
})

t.test('a server that is not there', async (t) => {
  const client = new SandboxClient({ url: 'http://slotpool', socketPath: `${t.testdir()}/none.sock` }, 'x')
  t.teardown(() => client.close())
  await t.rejects(ran(client, 'a', 'echo hello'), { code: 'SERVER_UNREACHABLE', retryable: true })
  await t.rejects(client.status(), { code: 'SERVER_UNREACHABLE' })
})

t.test('a client that is closed while a command runs asks no more', async (t) => {
  const { endpoint, token, lease } = await sandboxServer(t)
  const { leaseId } = await lease('a')
  const client = new SandboxClient(endpoint, token)
  const running = ran(client, leaseId, `echo started; ${sleeper.command(30)}`, { onStdout: () => void client.close() })
  await t.rejects(running, { code: 'EXECUTION_OUTCOME_UNKNOWN' })
})

t.test('what answers with something else than frames', async (t) => {
  const { endpoint, token, lease } = await sandboxServer(t)
  const { leaseId } = await lease('a')
  const { proxy, client } = await clientThroughProxy(t, { endpoint, token })
  proxy.garble(leaseId)
  await t.rejects(ran(client, leaseId, 'echo hello'), { code: 'PROTOCOL_MISMATCH' })
})

t.test('who cancels where the server is gone learns soon that nobody can know', async (t) => {
  const { server, client, lease } = await sandboxServer(t, { script: () => new Promise(() => {}) })
  const { leaseId } = await lease('a')
  const controller = new AbortController()
  const running = ran(client, leaseId, 'anything', { signal: controller.signal })
  while (server.status().slots.every((slot) => slot.executions === 0)) await new Promise((resolve) => setImmediate(resolve))
  await server.crash()
  controller.abort()
  await t.rejects(running, { code: 'EXECUTION_OUTCOME_UNKNOWN', message: /it was to be cancelled/ })
})

/** A hop to a server that keeps the first command to itself, and breaks its connection; `arrive` lets that arrive after all. */
async function withholding(t: Test, endpoint: { socketPath: string }, token: string) {
  let held: Buffer | undefined
  const hop = createServer((near) => {
    const far = connect(endpoint.socketPath)
    for (const socket of [near, far]) socket.on('error', () => {})
    near.on('close', () => far.destroy())
    far.on('close', () => near.destroy())
    far.pipe(near)
    near.on('data', (chunk) => {
      if (held || !chunk.includes('"command"')) far.write(chunk)
      else {
        held = chunk
        near.destroy()
      }
    })
  })
  const socketPath = `${endpoint.socketPath}.hop`
  hop.listen(socketPath)
  await once(hop, 'listening')
  t.teardown(() => hop.close())
  const client = new SandboxClient({ url: 'http://slotpool', socketPath }, token)
  t.teardown(() => client.close())
  const arrive = async (): Promise<Buffer> => {
    const late = connect(endpoint.socketPath)
    t.teardown(() => late.destroy())
    late.write(channelHead(token))
    await once(late, 'data')
    late.write(held as unknown as Buffer)
    const [answer] = await once(late, 'data')
    return answer
  }
  return { client, arrive }
}

t.test('a command that is said not to have been run is not run when its request arrives late', async (t) => {
  const commands: string[] = []
  const { endpoint, token, lease } = await sandboxServer(t, {
    script: ({ command }) => {
      commands.push(command)
      return {}
    },
  })
  const { leaseId } = await lease('a')
  const { client, arrive } = await withholding(t, endpoint, token)
  await t.rejects(ran(client, leaseId, 'late'), { code: 'SERVER_UNREACHABLE', message: /was not run/ })
  const answer = await arrive()
  t.equal(answer[0], frameType.error)
  t.match(JSON.parse(answer.subarray(5).toString()), { code: 'CANCELLED' })
  t.same(commands, [])
})

t.test('a command that was not run can be asked for again by the same id, and what of it is still on its way is not run', async (t) => {
  const commands: string[] = []
  const {
    endpoint,
    token,
    client: other,
    lease,
  } = await sandboxServer(t, {
    script: ({ command }) => {
      commands.push(command)
      return { stdout: 'out', exitCode: 3 }
    },
  })
  const { leaseId } = await lease('a')
  const { client, arrive } = await withholding(t, endpoint, token)
  await t.rejects(ran(client, leaseId, 'again', { executionId: 'one' }), { code: 'SERVER_UNREACHABLE', retryable: true })
  t.match(await ran(other, leaseId, 'again', { executionId: 'one' }), { exitCode: 3 })
  // It comes to the one that was run.
  t.equal((await arrive())[0], frameType.stdout)
  t.same(commands, ['again'])
})

t.test('an attempt that was refused stays so, whatever others there were, until the execution has come', async (t) => {
  const { client, lease } = await sandboxServer(t)
  const { leaseId } = await lease('a')
  t.equal(await client.refuse(leaseId, 'one', 'first'), true)
  t.equal(await client.refuse(leaseId, 'one', 'first'), true)
  t.equal((await ran(client, leaseId, 'echo hello', { executionId: 'one' })).stdout, 'hello\n')
  t.equal(await client.refuse(leaseId, 'one', 'third'), false, 'it has come')
})

t.test('one whose request arrives after it was asked for is followed, and not ended', async (t) => {
  const commands: string[] = []
  const { endpoint, token, lease } = await sandboxServer(t, {
    script: ({ command }) => {
      commands.push(command)
      return { stdout: 'out', exitCode: 3 }
    },
  })
  const { leaseId } = await lease('a')
  const { client, arrive } = await withholding(t, endpoint, token)
  const { refuse } = client
  client.refuse = async (...asked) => {
    await arrive()
    return refuse.apply(client, asked)
  }
  t.match(await ran(client, leaseId, 'late'), { exitCode: 3 })
  t.same(commands, ['late'], 'and run once')
})

t.test('a server that starts anew: what was sent before has an outcome that nobody can know, what comes after is refused', async (t) => {
  const script = (): Promise<never> => new Promise(() => {})
  const first = await sandboxServer(t, { script })
  const { leaseId } = await first.lease('a')
  const { proxy, client } = await clientThroughProxy(t, first)
  const running = ran(client, leaseId, 'hangs')
  while (first.server.status().slots.every((slot) => slot.executions === 0)) await new Promise((resolve) => setImmediate(resolve))
  const second = await sandboxServer(t, { script, token: first.token })
  proxy.redirect(second.endpoint.socketPath)
  await Promise.all([proxy.closeAll(), first.server.crash()])
  await t.rejects(running, { code: 'EXECUTION_OUTCOME_UNKNOWN', message: /started anew since/ })
  await t.rejects(ran(client, leaseId, 'more'), { code: 'LEASE_LOST', message: /started anew since/ })
  await t.rejects(client.renew(leaseId, 1000), { code: 'LEASE_LOST' })
})

t.test('where another server has the address of the one that ran a command, nobody can know how that ended', async (t) => {
  const { endpoint, token, lease } = await sandboxServer(t)
  const { leaseId } = await lease('a')
  const { proxy, client } = await clientThroughProxy(t, { endpoint, token })
  const other = await sandboxServer(t)
  const running = ran(client, leaseId, `echo started; ${sleeper.command(31)}`, {
    onStdout: () => {
      proxy.redirect(other.endpoint.socketPath)
      void proxy.closeAll()
    },
  })
  await t.rejects(running, { code: 'EXECUTION_OUTCOME_UNKNOWN', failure: 'unknown', message: /not that of this pool/ })
})

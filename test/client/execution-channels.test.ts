import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { SandboxClient } from '../../lib/client/sandbox-client.ts'
import { SlotpoolError } from '../../lib/errors.ts'
import type { ExecutionEnd } from '../../lib/wire/execution.ts'
import { frameType, jsonFrame } from '../../lib/wire/frames.ts'
import { clientThroughProxy } from '../fixtures/cutting-proxy.ts'
import { ran, sandboxServer } from '../fixtures/sandbox-server.ts'
import { testName } from '../fixtures/test-name.ts'

t.setTimeout(60_000)

/** Something that is no sandbox server, on a Unix socket. */
async function other(t: Test, onConnection: (socket: Socket) => void): Promise<SandboxClient> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    onConnection(socket)
  })
  const socketPath = `/tmp/${testName()}.sock`
  server.listen(socketPath)
  await once(server, 'listening')
  const client = new SandboxClient({ url: 'http://slotpool', socketPath }, 'token')
  t.teardown(async () => {
    await client.close()
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  })
  return client
}

t.test('a channel is kept for the next command, and there are as many as commands at once', async (t) => {
  const { endpoint, token, lease } = await sandboxServer(t)
  const { leaseId } = await lease('a')
  const { proxy, client } = await clientThroughProxy(t, { endpoint, token })
  for (let i = 0; i < 3; i++) await ran(client, leaseId, 'true')
  t.equal(proxy.connections, 1)
  await Promise.all([ran(client, leaseId, 'until test -e go; do sleep 0.01; done'), ran(client, leaseId, 'touch go')])
  t.equal(proxy.connections, 2)
  await Promise.all([ran(client, leaseId, 'true'), ran(client, leaseId, 'true')])
  t.equal(proxy.connections, 2)
})

t.test('one that the server closed meanwhile is not used again', async (t) => {
  const { endpoint, token, lease } = await sandboxServer(t)
  const { leaseId } = await lease('a')
  const { proxy, client } = await clientThroughProxy(t, { endpoint, token })
  await ran(client, leaseId, 'true')
  await proxy.closeAll()
  // Over another connection; by then this end has learnt of it, too.
  await client.status()
  await ran(client, leaseId, 'echo ran >> runs')
  t.equal((await ran(client, leaseId, 'cat runs')).stdout, 'ran\n')
  t.equal(proxy.connections, 3)
})

t.test('a lease has a channel opened for the commands that come', async (t) => {
  const { endpoint, token } = await sandboxServer(t)
  const { proxy, client } = await clientThroughProxy(t, { endpoint, token })
  const { lease } = await client.lease({ taskId: 'a', owner: 'me', ttlMs: 60_000 })
  const before = proxy.connections
  t.equal(before, 2)
  await ran(client, lease.leaseId, 'true')
  t.equal(proxy.connections, before)
})

t.test('a token that is another is said to be that', async (t) => {
  const { endpoint, lease } = await sandboxServer(t)
  const { leaseId } = await lease('a')
  const client = new SandboxClient(endpoint, 'other')
  t.teardown(() => client.close())
  await t.rejects(ran(client, leaseId, 'true'), { code: 'UNAUTHORIZED' })
})

t.test('what answers otherwise is no sandbox server', async (t) => {
  for (const answer of [
    'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok',
    'HTTP/1.1 404 Not Found\r\n\r\n{"error":{}}',
    'SSH-2.0\r\n',
    Buffer.alloc(70_000),
  ]) {
    const client = await other(t, (socket) => void socket.end(answer))
    await t.rejects(ran(client, 'a', 'true'), { code: 'PROTOCOL_MISMATCH' })
  }
})

t.test('what says nothing and hangs up was not reached', async (t) => {
  const client = await other(t, (socket) => void socket.once('data', () => socket.destroy()))
  await t.rejects(ran(client, 'a', 'true'), { code: 'SERVER_UNREACHABLE', retryable: true })
})

t.test('a connection that breaks while it becomes a channel was lost, wherever it breaks, and nothing was run', async (t) => {
  const { endpoint, token, lease } = await sandboxServer(t)
  const { leaseId } = await lease('a')
  for (const given of [token, 'another']) {
    const { proxy, client } = await clientThroughProxy(t, { endpoint, token: given })
    for (let bytes = 0; bytes < 120; bytes += 7) {
      proxy.cutAfter(bytes)
      await t.rejects(ran(client, leaseId, 'echo ran >> runs'), { code: 'SERVER_UNREACHABLE', retryable: true }, `after ${bytes} bytes`)
      t.equal(proxy.cuts, 1)
    }
  }
  const { client } = await clientThroughProxy(t, { endpoint, token })
  t.equal((await ran(client, leaseId, 'cat runs 2> /dev/null || echo none')).stdout, 'none\n')
})

t.test('a refusal that breaks off was lost, too', async (t) => {
  const body = JSON.stringify({ error: { code: 'UNAUTHORIZED', message: 'no', retryable: false } })
  const head = `HTTP/1.1 401 Unauthorized\r\nContent-Length: ${body.length}\r\n\r\n`
  const broken = await other(t, (socket) => void socket.end(`${head}${body.slice(0, -1)}`))
  await t.rejects(ran(broken, 'a', 'true'), { code: 'SERVER_UNREACHABLE' })
  const whole = await other(t, (socket) => void socket.end(`${head}${body}`))
  await t.rejects(ran(whole, 'a', 'true'), { code: 'UNAUTHORIZED' })
})

t.test('a client that is closed while it connects gives up, and so it does afterwards', async (t) => {
  const client = await other(t, (socket) => void socket.once('data', () => client.close()))
  await t.rejects(ran(client, 'a', 'true'), { code: 'SERVER_UNREACHABLE', message: /closed/ })
  await t.rejects(ran(client, 'a', 'true'), { code: 'SERVER_UNREACHABLE', message: /closed/ })
})

t.test('when a server is known to be gone, what it had answered is had, and nothing else is waited for', async (t) => {
  const end: ExecutionEnd = {
    ...{ executionId: 'a', exitCode: 7, signal: null, timedOut: false, timeout: null, limit: null, skippedEnv: [], cancelled: false },
    ...{ durationMs: 1, phases: { queueMs: 0, enterMs: 0, drainMs: 0 }, stdoutBytes: 0, stderrBytes: 0 },
  }
  const gone = new SlotpoolError('LEASE_LOST', 'its container is gone')
  for (const answers of [true, false]) {
    const client = await other(t, (socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: slotpool-channel\r\n\r\n')
        socket.once('data', () => {
          // Its last bytes come after it is known to be gone.
          void client.close(gone).then(() => answers && socket.end(jsonFrame(frameType.end, end)))
        })
      })
    })
    const running = ran(client, 'lease', 'make test')
    if (answers) t.match(await running, { exitCode: 7 })
    else await t.rejects(running, { code: 'EXECUTION_OUTCOME_UNKNOWN', message: /its container is gone/ })
    await t.rejects(ran(client, 'lease', 'true'), gone)
  }
})

import { once } from 'node:events'
import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import { pino } from 'pino'
import t from 'tap'
import { ScriptedJails, ScriptedRuntime } from '../../lib/backend/fake/scripted-runtime.ts'
import { SandboxServer } from '../../lib/sandbox/server.ts'
import type { Lease } from '../../lib/wire/lease.ts'
import { protocolHeader, protocolVersion } from '../../lib/wire/protocol.ts'
import { sandboxServer } from '../fixtures/sandbox-server.ts'

t.test('what it answers to requests that are not ours', async (t) => {
  const { endpoint, token } = await sandboxServer(t, { script: () => ({}) })
  const ask = async (method: string, path: string, headers: Record<string, string>, body?: string | Buffer) => {
    const sent = request({ socketPath: endpoint.socketPath, method, path, headers })
    sent.end(body)
    const [response] = await once(sent, 'response')
    return { status: response.statusCode as number, headers: response.headers, body: JSON.parse(await text(response)) }
  }
  const ours = { authorization: `Bearer ${token}`, [protocolHeader]: String(protocolVersion) }
  const json = { ...ours, 'content-type': 'application/json' }

  t.match(await ask('GET', '/healthz', {}), {
    status: 200,
    body: { ok: true, protocol: protocolVersion },
    headers: { [protocolHeader]: String(protocolVersion) },
  })
  for (const authorization of ['', 'Bearer ', 'Bearer wrong', `Basic ${token}`, `bearer${token}`]) {
    t.match(await ask('GET', '/v1/status', { authorization }), { status: 401, body: { error: { code: 'UNAUTHORIZED' } } })
  }
  t.match(await ask('GET', '/v1/nothing', {}), { status: 401 }, 'who has no token learns nothing of the routes')
  t.match(await ask('GET', '/v1/nothing', ours), { status: 404, body: { error: { code: 'ROUTE_NOT_FOUND' } } })
  const { authorization } = ours
  t.match(await ask('GET', '/v1/status', { authorization }), { status: 426, body: { error: { message: /update the client/ } } })
  t.match(await ask('GET', '/v1/status', { ...ours, [protocolHeader]: String(protocolVersion + 1) }), {
    status: 426,
    body: { error: { code: 'PROTOCOL_MISMATCH', message: /update this container/ } },
  })
  for (const body of ['{', '', 'null', '[]', '"x"', '{"taskId":"a"}', Buffer.from([0x7b, 0xff, 0x7d])]) {
    t.match(await ask('POST', '/v1/leases', json, body), { status: 400, body: { error: { code: 'REQUEST_INVALID' } } }, String(body))
  }
  t.match(await ask('POST', '/v1/leases', { ...ours, 'content-type': 'text/plain' }, 'x'), { body: { error: { code: 'REQUEST_INVALID' } } })
  for (const query of ['', '?taskId=', '?taskId=a&taskId=b', '?taskId=a&x=1']) {
    t.match(await ask('GET', `/v1/leases${query}`, ours), { status: 400, body: { error: { code: 'REQUEST_INVALID' } } })
  }
  t.match(await ask('DELETE', '/v1/leases/never', ours), { status: 404, body: { error: { code: 'LEASE_NOT_FOUND' } } })
  t.match(await ask('GET', '/v1/idle?waitMs=60001', ours), { status: 400 })
})

t.test('it ends itself when nobody used it, and not while somebody does', async (t) => {
  let idle = (): void => {}
  const ended = new Promise<void>((resolve) => {
    idle = resolve
  })
  let isIdle = false
  const server = await SandboxServer.start({
    pool: 'test',
    slots: 1,
    token: 'x',
    slotsFolder: '/',
    isolation: { kind: new ScriptedJails(), reason: 'commands are answered by a script', networkReason: null },
    runtime: new ScriptedRuntime(() => ({})),
    // Long beside what a busy machine takes for one request.
    idleExitMs: 2000,
    onIdle: () => {
      isIdle = true
      idle()
    },
    log: pino({ enabled: false }),
  })
  t.teardown(() => server.close())
  const url = await server.listen({ host: '127.0.0.1', port: 0 })
  const ask = (method: string, path: string, body?: object) =>
    fetch(`${url}${path}`, {
      method,
      headers: {
        authorization: 'Bearer x',
        [protocolHeader]: String(protocolVersion),
        ...(body ? { 'content-type': 'application/json' } : {}),
      },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
  const { lease } = (await (await ask('POST', '/v1/leases', { taskId: 'a', owner: 'me', ttlMs: 2500 })).json()) as { lease: Lease }
  t.equal(isIdle, false)
  t.match(server.status(), { slots: [{ state: 'leased', lease: { leaseId: lease.leaseId } }] })
  await ended
  t.match(server.status(), { slots: [{ lease: null }] }, 'its lease had expired by then')
})

t.test('who is told that it shuts down gets no lease, and it does shut down', async (t) => {
  const { server, client, lease } = await sandboxServer(t, { script: () => ({}) })
  await lease('a')
  const closing = server.close()
  await t.rejects(lease('b'))
  await closing
  await t.rejects(client.status(), { code: 'SERVER_UNREACHABLE' })
})

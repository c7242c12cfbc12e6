import { EventEmitter, once } from 'node:events'
import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import { pino } from 'pino'
import t from 'tap'
import type { ScriptedCommand } from '../../lib/backend/fake/scripted-execution.ts'
import { ScriptedJails, ScriptedRuntime } from '../../lib/backend/fake/scripted-runtime.ts'
import type { Execution } from '../../lib/sandbox/execution.ts'
import { JailRuntime } from '../../lib/sandbox/jail-runtime.ts'
import { SandboxServer } from '../../lib/sandbox/server.ts'
import type { SlotBounds } from '../../lib/sandbox/slot-bounds.ts'
import type { Slot } from '../../lib/sandbox/slots.ts'
import type { CheckedExecutionRequest } from '../../lib/wire/execution.ts'
import type { Lease } from '../../lib/wire/lease.ts'
import { protocolHeader, protocolVersion } from '../../lib/wire/protocol.ts'
import { ran, sandboxServer } from '../fixtures/sandbox-server.ts'

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

t.test('a command that runs when it shuts down is lost, not cancelled: nobody asked for its end', async (t) => {
  const script = async ({ stdout, signal }: ScriptedCommand) => {
    stdout('started')
    await once(signal, 'abort')
    return {}
  }
  const jail = { isolation: 'jail' } as const
  for (const options of [{ script }, { isolation: 'none' } as const, jail, jail, jail]) {
    const { server, client, lease } = await sandboxServer(t, options)
    const { leaseId } = await lease('a')
    let closing: Promise<void> | undefined
    const onStdout = () => {
      closing ??= server.close()
    }
    await t.rejects(ran(client, leaseId, 'echo started; sleep 60', { onStdout }), { code: 'LEASE_LOST', message: /was shut down/ })
    await closing
  }
})

t.test('nor is one cancelled that was still on its way into its slot', async (t) => {
  const held = new EventEmitter()
  class SlowRuntime extends JailRuntime {
    override execution(id: string, request: CheckedExecutionRequest, slot: Slot): Execution {
      const watch = async (onDisk: () => void): ReturnType<SlotBounds['watch']> => {
        held.emit('begun')
        await once(held, 'go')
        return slot.bounds.watch(onDisk)
      }
      const bounds = new Proxy(slot.bounds, {
        get: (target, name) => {
          const value: unknown = name === 'watch' ? watch : Reflect.get(target, name, target)
          return typeof value === 'function' ? value.bind(target) : value
        },
      })
      return super.execution(id, request, { ...slot, bounds })
    }
  }
  for (const isolation of ['none', 'jail'] as const) {
    const { server, client, lease } = await sandboxServer(t, { isolation, runtime: SlowRuntime })
    const { leaseId } = await lease('a')
    const begun = once(held, 'begun')
    const running = ran(client, leaseId, 'echo started')
    await begun
    const closing = server.close()
    held.emit('go')
    await t.rejects(running, { code: 'LEASE_LOST' }, isolation)
    await closing
  }
})

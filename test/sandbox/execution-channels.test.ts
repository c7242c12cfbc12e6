import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import type { ChannelRequest } from '../../lib/wire/execution.ts'
import { FrameReader, type FrameType, frameType, jsonFrame } from '../../lib/wire/frames.ts'
import { bootHeader, channelName, protocolHeader, protocolVersion } from '../../lib/wire/protocol.ts'
import { channelHead } from '../fixtures/channel-head.ts'
import { ran, type ServerUnderTest, sandboxServer } from '../fixtures/sandbox-server.ts'

t.setTimeout(60_000)

/** A client that knows nothing but docs/protocol.md. */
class BareClient {
  readonly socket: Socket
  readonly answers: { type: FrameType; payload: string }[] = []
  #text = ''
  readonly #frames = new FrameReader((type, payload, last) => {
    this.#text += payload
    if (!last) return
    this.answers.push({ type, payload: this.#text })
    this.#text = ''
  })

  constructor(t: Test, { endpoint }: ServerUnderTest) {
    this.socket = connect(endpoint.socketPath)
    this.socket.on('error', () => {})
    t.teardown(() => this.socket.destroy())
  }

  /** Sends the head of an HTTP request; resolves with that of the answer, and what came with it. */
  async head(text: string): Promise<string> {
    this.socket.write(text)
    const [answer] = await once(this.socket, 'data')
    if (/^HTTP\/1.1 101 /.test(String(answer))) this.socket.on('data', (chunk: Buffer) => this.#frames.push(chunk))
    return String(answer)
  }

  ask(request: ChannelRequest): void {
    this.socket.write(jsonFrame(frameType.request, request))
  }

  /** Resolves when so many frames have come. */
  async answered(count: number): Promise<void> {
    while (this.answers.length < count) await once(this.socket, 'data')
  }
}

async function channel(t: Test, server: ServerUnderTest): Promise<BareClient> {
  const client = new BareClient(t, server)
  await client.head(channelHead(server.token))
  return client
}

const request = (command: string) => ({ command, timeoutMs: 30_000 })

t.test('a connection becomes a channel and serves one execution after the other', async (t) => {
  const server = await sandboxServer(t)
  const { leaseId } = await server.lease('a')
  const client = new BareClient(t, server)
  const head = await client.head(channelHead(server.token))
  t.match(head, /^HTTP\/1.1 101 Switching Protocols\r\n/)
  for (const [name, value] of [
    ['upgrade', channelName],
    [protocolHeader, protocolVersion],
    [bootHeader, server.server.bootId],
  ]) {
    t.match(head, `\r\n${name}: ${value}\r\n`)
  }
  for (const byte of jsonFrame(frameType.request, { leaseId, executionId: 'first', request: request('echo hello; echo no >&2; exit 3') })) {
    client.socket.write(Buffer.of(byte))
  }
  await client.answered(3)
  t.match(client.answers.slice(0, 2), [
    { type: frameType.stdout, payload: 'hello\n' },
    { type: frameType.stderr, payload: 'no\n' },
  ])
  t.match(JSON.parse(client.answers[2]?.payload ?? ''), { executionId: 'first', exitCode: 3, stdoutBytes: 6 })
  client.ask({ leaseId, executionId: 'second', request: request('echo again') })
  await client.answered(5)
  t.match(client.answers[3], { type: frameType.stdout, payload: 'again\n' })
  client.ask({ leaseId, executionId: 'first', stdout: 2 })
  await client.answered(8)
  t.match(client.answers[5], { type: frameType.stdout, payload: 'llo\n' })
})

t.test('what is no request for a channel is refused in HTTP, and the connection closed', async (t) => {
  const server = await sandboxServer(t)
  for (const [headers, status, code] of [
    [{ authorization: 'Bearer other' }, '401 Unauthorized', 'UNAUTHORIZED'],
    [{ [protocolHeader]: String(protocolVersion - 1) }, '426 Upgrade Required', 'PROTOCOL_MISMATCH'],
    [{ upgrade: 'websocket' }, '404 Not Found', 'ROUTE_NOT_FOUND'],
    [{ path: '/v1/status' }, '404 Not Found', 'ROUTE_NOT_FOUND'],
  ] as const) {
    const client = new BareClient(t, server)
    const closed = once(client.socket, 'close')
    const answer = await client.head(channelHead(server.token, headers))
    t.match(answer, `HTTP/1.1 ${status}\r\n`)
    t.match(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))), { error: { code } })
    await closed
  }
})

t.test('a bad request is answered, and the channel serves the next', async (t) => {
  const server = await sandboxServer(t)
  const { leaseId } = await server.lease('a')
  const client = await channel(t, server)
  const bad: [object, string][] = [
    [{}, 'REQUEST_INVALID'],
    [{ leaseId, executionId: 'a b', request: request('true') }, 'REQUEST_INVALID'],
    [{ leaseId, executionId: 'a', request: { ...request('true'), timeoutMs: 0 } }, 'REQUEST_INVALID'],
    [{ leaseId, executionId: 'a', request: { ...request('true'), other: 1 } }, 'REQUEST_INVALID'],
    [{ leaseId, executionId: 'a', request: request('a\0b') }, 'COMMAND_INVALID'],
    [{ leaseId, executionId: 'a', request: { ...request('true'), env: { 'A=B': '' } } }, 'ENV_INVALID'],
    [{ leaseId: 'other', executionId: 'a', request: request('true') }, 'LEASE_NOT_FOUND'],
    [{ leaseId, executionId: 'a' }, 'EXECUTION_NOT_FOUND'],
  ]
  for (const [asked, code] of bad) {
    client.ask(asked as ChannelRequest)
    await client.answered(1)
    const { type, payload } = client.answers.pop() ?? {}
    t.equal(type, frameType.error)
    t.match(JSON.parse(payload ?? ''), { code })
  }
  const notUtf8 = jsonFrame(frameType.request, { leaseId, executionId: 'a', request: request('echo ?') })
  notUtf8[notUtf8.indexOf('?')] = 0xff
  client.socket.write(notUtf8)
  await client.answered(1)
  t.match(JSON.parse(client.answers.pop()?.payload ?? ''), { code: 'REQUEST_INVALID', message: /UTF-8/ })
  client.ask({ leaseId, executionId: 'a', request: request('echo good') })
  await client.answered(2)
  t.match(client.answers[0], { payload: 'good\n' })
})

t.test('a client that speaks out of turn is cut off; what it had begun goes on', async (t) => {
  const server = await sandboxServer(t)
  const { leaseId } = await server.lease('a')
  const second = jsonFrame(frameType.request, { leaseId, executionId: 'second', request: request('touch second') })
  for (const [id, bytes] of [
    ['request', second],
    ['output', jsonFrame(frameType.stdout, {})],
    ['garbage', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['end', undefined],
  ] as const) {
    const client = await channel(t, server)
    client.ask({ leaseId, executionId: id, request: request(`echo begun; until test -e ${id}; do sleep 0.01; done`) })
    await client.answered(1)
    const closed = once(client.socket, 'close')
    if (bytes) client.socket.write(bytes)
    else client.socket.end()
    await closed
    await ran(server.client, leaseId, `touch ${id}`)
    const after = await channel(t, server)
    after.ask({ leaseId, executionId: id })
    await after.answered(2)
    t.match(JSON.parse(after.answers[1]?.payload ?? ''), { executionId: id, exitCode: 0 })
  }
  t.match(await ran(server.client, leaseId, 'test -e second'), { exitCode: 1 })
})

t.test('a server that ends closes its channels, those in use as well', async (t) => {
  const server = await sandboxServer(t, { script: () => new Promise(() => {}) })
  const { leaseId } = await server.lease('a')
  const [idle, busy] = [await channel(t, server), await channel(t, server)]
  busy.ask({ leaseId, executionId: 'a', request: request('anything') })
  while (server.server.status().slots.every(({ executions }) => executions === 0)) await new Promise((resolve) => setImmediate(resolve))
  const closed = [idle, busy].map(({ socket }) => once(socket, 'close'))
  await server.server.close()
  await Promise.all(closed)
  t.match(JSON.parse(busy.answers.at(-1)?.payload ?? ''), { code: 'LEASE_LOST' })
})

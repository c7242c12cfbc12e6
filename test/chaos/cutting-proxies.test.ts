import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { CuttingProxies } from '../../chaos/cutting-proxies.ts'
import { frameType, jsonFrame } from '../../lib/wire/frames.ts'

/** A server that answers each connection as it is told, and a way to it that can be cut. */
async function server(t: Test, onConnection: (socket: Socket) => void) {
  const folder = await mkdtemp(join(tmpdir(), 'slotpool-proxies-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const sockets = new Set<Socket>()
  const listening = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    onConnection(socket)
  })
  const socketPath = join(folder, 'server.sock')
  listening.listen(socketPath)
  await once(listening, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    listening.close()
  })
  const proxies = new CuttingProxies(folder)
  t.teardown(() => proxies.close())
  const route = () => proxies.route('container-1', { url: 'http://slotpool', socketPath })
  const dial = async () => connect((await route()).socketPath as string).on('error', () => {})
  return { proxies, route, dial }
}

t.test('what is not cut arrives whole, and its end with it', async (t) => {
  const bytes = Buffer.alloc(3_000_000, 'abc')
  const { dial, route } = await server(t, (socket) => void socket.once('data', () => socket.end(bytes)))
  t.same(await route(), await route(), 'there is one way to a server')
  const socket = await dial()
  socket.write('GET /v1/status HTTP/1.1\r\n\r\n')
  t.ok((await buffer(socket)).equals(bytes))
})

t.test('an answer is cut where it was said, and nothing comes behind that', async (t) => {
  const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, at) => `${at}\n`).join(''))
  const { proxies, dial } = await server(t, (socket) => void socket.once('data', () => socket.end(bytes)))
  for (const afterBytes of [0, 1, 17, 65_537, 1_000_000]) {
    const cut = proxies.cut('command', afterBytes)
    const socket = await dial()
    socket.write(jsonFrame(frameType.request, { leaseId: 'lease-1', executionId: 'e' }))
    // A reader that is slow has some of it pile up on the way.
    socket.pause()
    setTimeout(() => socket.resume(), 50)
    const got = await buffer(socket)
    t.ok(got.equals(bytes.subarray(0, afterBytes)), `${got.length} bytes after ${afterBytes}`)
    t.match(await cut, { containerId: 'container-1', asked: 'command', leaseId: 'lease-1', bytes: afterBytes })
  }
})

t.test('a request can be lost with its answer', async (t) => {
  const asked: string[] = []
  const { proxies, dial } = await server(t, (socket) => void socket.on('data', (chunk) => asked.push(String(chunk))))
  const cut = proxies.cut('lease', null)
  const socket = await dial()
  socket.write('POST /v1/leases HTTP/1.1\r\ncontent-length: 15\r\n\r\n{"taskId":"t9"}')
  t.equal((await buffer(socket)).length, 0)
  t.match(await cut, { asked: 'lease', taskId: 't9', bytes: null })
  t.same(asked, [])
})

t.test('only answers of the kind that was said are cut, and it is told whose', async (t) => {
  const { proxies, dial } = await server(t, (socket) => void socket.on('data', () => socket.write('an answer')))
  const socket = await dial()
  const ask = async (request: string): Promise<string> => {
    socket.write(request)
    return String(await Promise.race([once(socket, 'data'), once(socket, 'close').then(() => 'closed')]))
  }
  const cut = proxies.cut('lease', 3)
  t.equal(await ask('GET /v1/leases?taskId=t9 HTTP/1.1\r\n\r\n'), 'an answer')
  t.equal(await ask('DELETE /v1/leases/lease-1 HTTP/1.1\r\n\r\n'), 'an answer')
  t.equal(await ask('POST /v1/leases HTTP/1.1\r\ncontent-length: 15\r\n\r\n{"taskId":"t9"}'), 'an ')
  t.match(await cut, { asked: 'lease', taskId: 't9', leaseId: undefined })
  const never = proxies.cut('release', 1)
  proxies.giveUpCuts()
  t.equal(await never, undefined)
})

import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, type Socket as NodeSocket } from 'node:net'
import t, { type Test } from 'tap'
import { DnsRelay } from '../../../lib/sandbox/network/dns-relay.ts'

const skip = process.geteuid?.() === 0 ? false : 'only root may have port 53'

async function bound(t: Test, address: string, port = 0): Promise<Socket> {
  const socket = createSocket('udp4')
  socket.bind(port, address)
  await once(socket, 'listening')
  t.teardown(() => socket.close())
  return socket
}

t.test('who asks much of a name server that says nothing takes no part of the others', { skip }, async (t) => {
  const [relayAddress, serverAddress, greedy, modest] = ['127.53.7.1', '127.53.7.2', '127.53.7.3', '127.53.7.4']
  const server = await bound(t, serverAddress, 53)
  let silent = 0
  server.on('message', (query, { address, port }) => {
    if (query.toString() === 'silence') silent++
    else server.send(query, port, address)
  })
  const relay = await DnsRelay.start(relayAddress, [serverAddress])
  t.teardown(() => relay.close())
  const [one, other] = [await bound(t, greedy), await bound(t, modest)]
  for (let count = 0; count < 100; count++) one.send('silence', 53, relayAddress)
  for (let count = 0; count < 40; count++) {
    other.send(`question ${count}`, 53, relayAddress)
    const [answer] = await once(other, 'message')
    t.equal(answer.toString(), `question ${count}`)
  }
  t.ok(silent > 0 && silent <= 32, `${silent} were asked`)

  const silentServer = createServer((socket) => t.teardown(() => socket.destroy())).listen(53, serverAddress)
  await once(silentServer, 'listening')
  t.teardown(() => silentServer.close())
  const connection = async (from: string): Promise<NodeSocket> => {
    const socket = connect({ host: relayAddress, port: 53, localAddress: from })
    socket.on('error', () => {})
    t.teardown(() => socket.destroy())
    await once(socket, 'connect')
    return socket
  }
  const greedyOnes: NodeSocket[] = []
  for (let count = 0; count < 4; count++) greedyOnes.push(await connection(greedy))
  const tooMany = await connection(greedy)
  await once(tooMany.resume(), 'close')
  t.ok(greedyOnes.every((socket) => !socket.destroyed))
  const modestOne = await connection(modest)
  const inward = once(silentServer, 'connection')
  modestOne.write('x')
  await inward
  t.notOk(modestOne.destroyed)
})

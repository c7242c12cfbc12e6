import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import t from 'tap'
import { DockerRegistry } from '../../../lib/backend/docker/docker-registry.ts'
import { DockerEngine } from '../../../lib/backend/docker/engine.ts'
import { listPoolContainers } from '../../../lib/backend/docker/pool-containers.ts'
import { scriptedRegistry } from '../../fixtures/scripted-registry.ts'

const env = (host: string) => ({ HOME: '/nonexistent', DOCKER_HOST: `tcp://${host}` })

t.test('an engine that takes a connection and says nothing is as good as none', async (t) => {
  const server = createServer((socket) => t.teardown(() => socket.destroy())).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const engine = new DockerRegistry(env(`127.0.0.1:${(server.address() as AddressInfo).port}`), { answerTimeoutMs: 20 })
  const unavailable = { code: 'DOCKER_UNAVAILABLE', message: /said nothing for 20 ms/ }
  await t.rejects(engine.list(), unavailable)
  await t.rejects(engine.pull('h.example/a:1'), unavailable)
  const direct = new DockerEngine(env(`127.0.0.1:${(server.address() as AddressInfo).port}`))
  t.teardown(() => direct.close())
  await t.rejects(listPoolContainers(direct, 'any', undefined, 20), unavailable, 'nor is it waited for by who wants a slot')
  await t.rejects(listPoolContainers(direct, 'any', AbortSignal.abort()), { code: 'CANCELLED' })
})

t.test('each request to an engine can be given up', async (t) => {
  let controller = new AbortController()
  // It tells its version, and then nothing more.
  const host = await scriptedRegistry(t, (request, response) => {
    if (request.url?.endsWith('/version')) response.setHeader('content-type', 'application/json').end('{"Version":"1","ApiVersion":"1.41"}')
    else controller.abort()
  })
  const engine = new DockerRegistry(env(host))
  const requests: ((signal: AbortSignal) => Promise<unknown>)[] = [
    (signal: AbortSignal) => engine.list(signal),
    (signal: AbortSignal) => engine.resolve('a:1', signal),
    (signal: AbortSignal) => engine.inspect('a:1', signal),
    (signal: AbortSignal) => engine.tag('a:1', 'a:2', signal),
    (signal: AbortSignal) => engine.remove('a:1', signal),
    (signal: AbortSignal) => engine.push('a:1', 'h.example/a:1', { signal }),
  ]
  for (const request of requests) {
    controller = new AbortController()
    await t.rejects(request(controller.signal), { code: 'CANCELLED' }, `${request}`)
  }
})

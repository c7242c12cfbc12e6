import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { DockerBackend } from '../../../lib/backend/docker/docker-backend.ts'
import { DockerEngine } from '../../../lib/backend/docker/engine.ts'
import { loadConfig } from '../../../lib/config.ts'

t.test('no socket: the address tried and the one command that would mend it', async (t) => {
  const engine = new DockerEngine({ HOME: '/nonexistent', DOCKER_HOST: 'unix:///nonexistent/docker.sock' })
  t.teardown(() => engine.close())
  await t.rejects(engine.version(), {
    code: 'DOCKER_UNAVAILABLE',
    retryable: true,
    message:
      'Docker does not answer at unix:///nonexistent/docker.sock, named by DOCKER_HOST: there is no such socket. To mend it: unset DOCKER_HOST',
    details: { address: 'unix:///nonexistent/docker.sock', command: 'unset DOCKER_HOST' },
  })
})

t.test('nothing listens at the address', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  const engine = new DockerEngine({ HOME: '/nonexistent', DOCKER_HOST: `tcp://127.0.0.1:${port}` })
  t.teardown(() => engine.close())
  await t.rejects(engine.version(), { code: 'DOCKER_UNAVAILABLE', message: new RegExp(`tcp://127.0.0.1:${port}.*nothing listens there`) })
})

t.test('a caller that gives up gets CANCELLED, also from an engine that never answers', async (t) => {
  // Not in the test's own folder: the path of a socket has to be short.
  const folder = await mkdtemp(join(tmpdir(), 'slotpool-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const path = join(folder, 'engine.sock')
  const server = createServer().listen(path)
  await once(server, 'listening')
  t.teardown(() => server.close())
  const engine = new DockerEngine({ HOME: '/nonexistent', DOCKER_HOST: `unix://${path}` })
  t.teardown(() => engine.close())
  const controller = new AbortController()
  server.on('connection', (socket) => {
    t.teardown(() => socket.destroy())
    controller.abort()
  })
  await t.rejects(engine.version(controller.signal), { code: 'CANCELLED' })
})

t.test('every method of the backend says that Docker does not answer', async (t) => {
  const env = { HOME: '/nonexistent', XDG_STATE_HOME: t.testdir({}), DOCKER_HOST: 'unix:///nonexistent/docker.sock' }
  const backend = new DockerBackend(loadConfig({ env: 'docker' }, {}), env)
  t.teardown(() => backend.close())
  const unavailable = { code: 'DOCKER_UNAVAILABLE' }
  await t.rejects(backend.list(), unavailable)
  await t.rejects(backend.shape(), unavailable)
  await t.rejects(backend.grow(1), unavailable)
  await t.rejects(backend.destroy(), unavailable)
})

t.test('an engine on another machine is refused: its containers could not be reached', async (t) => {
  const config = loadConfig({ env: 'docker' }, {})
  for (const host of ['tcp://build:2375', 'ssh://me@build']) {
    t.throws(() => new DockerBackend(config, { HOME: '/nonexistent', DOCKER_HOST: host }), {
      code: 'CONFIG_INVALID',
      message: new RegExp(`DOCKER_HOST: got ${host}, expected an engine on this machine`),
    })
  }
})

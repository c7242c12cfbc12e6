import { createHash } from 'node:crypto'
import t from 'tap'
import { engineAddress } from '../../../lib/backend/docker/engine-address.ts'

const nowhere = '/nonexistent'

t.test('the default is the socket', async (t) => {
  t.match(engineAddress({ HOME: nowhere }), {
    address: 'unix:///var/run/docker.sock',
    namedBy: null,
    transport: { kind: 'unix', socketPath: '/var/run/docker.sock' },
  })
})

t.test('DOCKER_HOST in each of its forms', async (t) => {
  const transport = (host: string, more: NodeJS.ProcessEnv = {}) => engineAddress({ HOME: nowhere, DOCKER_HOST: host, ...more }).transport
  t.same(transport('unix:///run/user/1000/docker.sock'), { kind: 'unix', socketPath: '/run/user/1000/docker.sock' })
  t.same(transport('tcp://build:1234'), { kind: 'tcp', host: 'build', port: 1234 })
  t.same(transport('build'), { kind: 'tcp', host: 'build', port: 2375 })
  t.same(transport('tcp://[::1]:99'), { kind: 'tcp', host: '::1', port: 99 })
  t.same(transport('tcp://build', { DOCKER_TLS_VERIFY: '1' }), { kind: 'tcp', host: 'build', port: 2376 })
  t.same(transport('ssh://me@build'), { kind: 'ssh', host: 'build', port: 22, username: 'me' })
})

t.test('an address that is none is refused with what was got and what is taken', async (t) => {
  for (const bad of ['npipe:////./pipe/docker', 'unix://relative', 'tcp://', 'http//:x y']) {
    t.throws(() => engineAddress({ HOME: nowhere, DOCKER_HOST: bad }), {
      code: 'CONFIG_INVALID',
      message: `DOCKER_HOST: got ${JSON.stringify(bad)}, expected unix:///path, tcp://host:port or ssh://user@host`,
    })
  }
})

t.test('certificates come from DOCKER_CERT_PATH', async (t) => {
  const folder = t.testdir({ 'ca.pem': 'CA', 'cert.pem': 'CERT', 'key.pem': 'KEY' })
  const { tls } = engineAddress({ HOME: nowhere, DOCKER_HOST: 'tcp://build', DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: folder })
  t.same(tls, { verify: true, ca: Buffer.from('CA'), cert: Buffer.from('CERT'), key: Buffer.from('KEY') })
  const unverified = engineAddress({ HOME: nowhere, DOCKER_HOST: 'tcp://build', DOCKER_TLS: '1', DOCKER_CERT_PATH: folder })
  t.equal(unverified.tls?.verify, false)
})

t.test('a context is found as Docker keeps it; DOCKER_HOST wins over it', async (t) => {
  const id = createHash('sha256').update('rootless').digest('hex')
  const folder = t.testdir({
    'config.json': JSON.stringify({ currentContext: 'rootless', auths: {} }),
    contexts: {
      meta: { [id]: { 'meta.json': JSON.stringify({ Name: 'rootless', Endpoints: { docker: { Host: 'unix:///run/r.sock' } } }) } },
    },
  })
  const chosen = { address: 'unix:///run/r.sock', namedBy: 'the Docker context "rootless"' }
  t.match(engineAddress({ DOCKER_CONFIG: folder }), chosen)
  t.match(engineAddress({ DOCKER_CONFIG: folder, DOCKER_CONTEXT: 'rootless' }), chosen)
  t.match(engineAddress({ DOCKER_CONFIG: folder, DOCKER_CONTEXT: 'default' }), { namedBy: null })
  t.match(engineAddress({ DOCKER_CONFIG: folder, DOCKER_HOST: 'unix:///x' }), { address: 'unix:///x' })
  t.throws(() => engineAddress({ DOCKER_CONFIG: folder, DOCKER_CONTEXT: 'other' }), {
    code: 'CONFIG_INVALID',
    message: /DOCKER_CONTEXT: got "other", expected a name that `docker context ls` lists/,
  })
})

t.test('a configuration of Docker that is no JSON is refused by its name', async (t) => {
  const folder = t.testdir({ 'config.json': '{' })
  t.throws(() => engineAddress({ DOCKER_CONFIG: folder }), { code: 'CONFIG_INVALID', message: new RegExp(`${folder}/config.json`) })
})

import { join } from 'node:path'
import t, { type Test } from 'tap'
import { openBackend } from '../../lib/backend/open-backend.ts'
import { loadConfig, type SlotPoolOptions } from '../../lib/config.ts'
import { answering, deadAddress } from '../fixtures/fake-nomad.ts'

async function opened(t: Test, options: SlotPoolOptions): Promise<{ name: string; notices: string[] }> {
  const notices: string[] = []
  const backend = await openBackend(loadConfig(options, {}), (line) => notices.push(line))
  t.teardown(() => backend.close())
  return { name: backend.name, notices }
}

function withVariable(t: Test, name: string, value: string): void {
  const before = process.env[name]
  process.env[name] = value
  t.teardown(() => {
    if (before === undefined) delete process.env[name]
    else process.env[name] = before
  })
}

t.test('the one that was named', async (t) => {
  t.same(await opened(t, { env: 'local' }), { name: 'local', notices: [] })
  t.same(await opened(t, { env: 'docker' }), { name: 'docker', notices: [] })
})

t.test('nomad, where an agent answers, well or not', async (t) => {
  for (const status of [200, 500]) {
    const address = await answering(t, (_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end('{"client":{"ok":true,"message":"ok"},"server":{"ok":true,"message":"ok"}}')
    })
    t.same(await opened(t, { env: 'nomad', nomad: { address, fallback: 'local' } }), { name: 'nomad', notices: [] })
    t.same(await opened(t, { env: 'sandbox', nomad: { address } }), { name: 'nomad', notices: [] })
  }
})

t.test('nomad, where none answers', async (t) => {
  const address = await deadAddress()
  await t.rejects(opened(t, { env: 'nomad', nomad: { address } }), { code: 'NOMAD_UNAVAILABLE', details: { address } })
  const { name, notices } = await opened(t, { env: 'nomad', nomad: { address, fallback: 'local' } })
  t.equal(name, 'local')
  t.equal(notices.length, 1, 'it is said, in one line')
  t.match(notices[0], `no Nomad agent answers at ${address}; using local instead`)
  t.notMatch(notices[0], /\n/)
})

t.test('nomad, where one is to be started and cannot be', async (t) => {
  const address = await deadAddress()
  const nomad = { address, autostart: true }
  withVariable(t, 'PATH', t.testdir())
  withVariable(t, 'XDG_STATE_HOME', t.testdirName)
  await t.rejects(opened(t, { env: 'nomad', nomad }), { code: 'NOMAD_UNAVAILABLE', message: /nomad is not on PATH/ })
  const { name, notices } = await opened(t, { env: 'nomad', nomad: { ...nomad, fallback: 'local' } })
  t.equal(name, 'local')
  t.match(notices, [`slotpool: no Nomad agent answers at ${address}, and none can be started: nomad is not on PATH`])
  t.match(notices[0], /; using local instead \(TERMINAL_NOMAD_FALLBACK=local\)$/)
})

t.test('the first that answers', async (t) => {
  withVariable(t, 'DOCKER_HOST', `unix://${join(t.testdir(), 'none.sock')}`)
  t.same(await opened(t, { env: 'sandbox', nomad: { address: await deadAddress() } }), { name: 'local', notices: [] })
})

t.test('who gives up while it is looked for', async (t) => {
  const config = loadConfig({ env: 'nomad', nomad: { address: await deadAddress() } }, {})
  await t.rejects(
    openBackend(config, () => {}, AbortSignal.abort()),
    { code: 'CANCELLED' },
  )
})

t.test('an agent that says nothing, or whose certificate does not fit, is no reason to go elsewhere', async (t) => {
  let asked = 0
  const address = await answering(t, () => void asked++)
  await t.rejects(opened(t, { env: 'nomad', nomad: { address, fallback: 'local' } }), { code: 'NOMAD_UNAVAILABLE', retryable: true })
  t.equal(asked, 2, 'it is asked once more, with more patience')
  const plain = address.replace('http:', 'https:')
  await t.rejects(opened(t, { env: 'nomad', nomad: { address: plain, fallback: 'local' } }), {
    code: 'NOMAD_UNAVAILABLE',
    details: { address: plain },
  })
})

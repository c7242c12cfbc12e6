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

/** No Docker engine is where this process looks for one. */
function withoutDocker(t: Test): void {
  const before = process.env.DOCKER_HOST
  process.env.DOCKER_HOST = `unix://${join(t.testdir(), 'none.sock')}`
  t.teardown(() => {
    if (before === undefined) delete process.env.DOCKER_HOST
    else process.env.DOCKER_HOST = before
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

t.test('the first that answers', async (t) => {
  withoutDocker(t)
  t.same(await opened(t, { env: 'sandbox', nomad: { address: await deadAddress() } }), { name: 'local', notices: [] })
})

t.test('who gives up while it is looked for', async (t) => {
  const config = loadConfig({ env: 'nomad', nomad: { address: await deadAddress() } }, {})
  await t.rejects(
    openBackend(config, () => {}, AbortSignal.abort()),
    { code: 'CANCELLED' },
  )
})

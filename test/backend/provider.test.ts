import { join } from 'node:path'
import t from 'tap'
import { DockerRegistry } from '../../lib/backend/docker/docker-registry.ts'
import { openProvider, openRegistry } from '../../lib/backend/open-backend.ts'
import { LocalRegistry } from '../../lib/backend/registry/local-registry.ts'
import { loadConfig } from '../../lib/config.ts'
import { deadAddress } from '../fixtures/fake-nomad.ts'
import { destroyLocalPool, localLeft, stateHome } from '../fixtures/local-pool.ts'
import { testName } from '../fixtures/test-name.ts'

t.test('a pool is made, found as it is, and ended', { skip: process.platform === 'linux' ? false : 'needs Linux' }, async (t) => {
  const home = await stateHome(t)
  const pool = testName()
  destroyLocalPool(t, pool)
  const provider = await openProvider({ env: 'local', pool, slots: 1, min: 1, max: 1 })
  t.equal(provider.name, 'local')
  const before = await provider.load()
  t.same([await before.shape(), await before.list()], [null, []], 'to load it makes nothing')
  await before.close()
  const made = await provider.create()
  const containers = await made.list()
  t.match(containers, [{ index: 0, state: 'ready' }])
  await made.close()
  const again = await provider.create()
  t.same(await again.list(), containers, 'what is there stays')
  await again.close()
  const loaded = await provider.load()
  t.match(await loaded.shape(), { slots: 1, image: null })
  t.same(await loaded.list(), containers)
  await loaded.close()
  await provider.destroy()
  t.same(await localLeft(pool), [])
  await provider.destroy()
  t.equal((await provider.registry()).place, join(home, 'slotpool', 'images'))
})

t.test('a pool that cannot be made has no container, and what cannot be given is said before', async (t) => {
  await stateHome(t)
  const pool = testName()
  const provider = await openProvider({ env: 'local', pool, mounts: [{ host: '/no/such/folder', target: '/x' }] })
  await t.rejects(provider.create(), { code: 'MOUNT_INVALID' })
  const aborted = await openProvider({ env: 'local', pool })
  await t.rejects(aborted.create(AbortSignal.abort()), { code: 'CANCELLED' })
  const loaded = await aborted.load()
  t.same(await loaded.list(), [])
  await loaded.close()
  await t.rejects(openProvider({ env: 'nomad', nomad: { address: await deadAddress() } }), { code: 'NOMAD_UNAVAILABLE' })
})

t.test('where the images of a backend are, whether it answers or not', async (t) => {
  const nomad = { address: await deadAddress() }
  const notices: string[] = []
  const of = (options: Parameters<typeof loadConfig>[0]) => openRegistry(loadConfig(options, {}), (line) => notices.push(line))
  t.ok((await of({ env: 'docker' })) instanceof DockerRegistry)
  t.ok((await of({ env: 'nomad', nomad })) instanceof DockerRegistry)
  t.ok((await of({ env: 'nomad', nomad: { ...nomad, driver: 'singularity' } })) instanceof LocalRegistry)
  t.ok((await of({ env: 'local' })) instanceof LocalRegistry)
  t.same(notices, [])
})

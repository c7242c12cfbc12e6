import { existsSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { poolDir } from '../../../lib/state-dir.ts'
import { builtImage } from '../../fixtures/built-image.ts'
import type { Moment } from '../../fixtures/die-at.ts'
import { dockerPool } from '../../fixtures/docker-pool.ts'
import { dyingManager } from '../../fixtures/dying-manager.ts'
import { dockerSkip } from '../../fixtures/require-service.ts'

const skip = await dockerSkip()

t.setTimeout(300_000)

const deaths: Record<string, Moment> = {
  'the pool has a token and nothing else': { after: 'request', matching: '^POST /containers/create' },
  'its container was made': { after: 'response', matching: '^POST /containers/create' },
  'its container has the token': { after: 'response', matching: '^PUT /containers/[^/]+/archive' },
  'its container was started': { after: 'response', matching: '^POST /containers/[^/]+/start' },
}

t.test('wherever a manager dies, what it left is found', { skip }, async (t) => {
  const image = await builtImage(t)

  await t.test('by the next that grows the pool', async (t) => {
    await Promise.all(
      Object.entries(deaths).map(async ([when, moment]) => {
        const { pool, backend, env, docker, containerIds, hasVolume, hasToken } = await dockerPool(t, { image })
        await dyingManager({ env: 'docker', pool, image, slots: 2 }, env, { grow: 1 }, moment)
        const [left] = await containerIds()
        const volume = left === undefined ? undefined : (await docker.getContainer(left).inspect()).Mounts[0]?.Name
        t.match(await backend.grow(1), [{ index: 0, state: 'ready' }], when)
        t.equal((await containerIds()).length, 1, when)
        await backend.destroy()
        t.same(await containerIds(), [], when)
        t.notOk((volume !== undefined && (await hasVolume(volume))) || hasToken(), when)
      }),
    )
  })

  await t.test('by the next that grows any pool', async (t) => {
    const { pool, env, docker, containerIds, hasVolume } = await dockerPool(t, { image })
    await dyingManager(
      { env: 'docker', pool, image, slots: 2 },
      env,
      { grow: 1 },
      { after: 'response', matching: '^POST /containers/create' },
    )
    const [left = ''] = await containerIds()
    const volume = (await docker.getContainer(left).inspect()).Mounts[0]?.Name ?? ''
    const other = await dockerPool(t, { image })
    await other.backend.grow(1)
    t.same(await containerIds(), [left], 'its maker may still be about to start it')
    while ((await containerIds()).length > 0) {
      await other.backend.destroy()
      await other.backend.grow(1)
    }
    t.notOk(await hasVolume(volume))
  })
})

t.test('tokens that open nothing', { skip }, async (t) => {
  const image = await builtImage(t)

  await t.test('a start that fails leaves none', async (t) => {
    const { backend, hasToken } = await dockerPool(t, { image: 'slotpool/test:no-such-image' })
    await t.rejects(backend.grow(1), { code: 'IMAGE_NOT_FOUND' })
    t.notOk(hasToken())
  })

  await t.test('unless there are containers that have it', async (t) => {
    const { backend, docker, pool, hasToken } = await dockerPool(t, { image })
    await backend.grow(1)
    const token = await backend.token()
    const stranger = await docker.createContainer({ name: `slotpool-${pool}-1`, Image: image })
    t.teardown(() => stranger.remove({ force: true, v: true }))
    await t.rejects(backend.grow(2), { code: 'CONTAINER_FAILED' })
    t.ok(hasToken())
    t.equal(await backend.token(), token)
  })

  await t.test('those of pools that ended by themselves go when another pool starts, after an hour', async (t) => {
    const { backend, env, hasToken } = await dockerPool(t, { image })
    const [ended = '', fresh = ''] = ['ended', 'fresh'].map((name) => poolDir(name, 'docker', env))
    for (const folder of [ended, fresh]) writeFileSync(join(folder, 'token'), 'x'.repeat(43))
    utimesSync(join(ended, 'token'), 1, 1)
    await backend.grow(1)
    t.notOk(existsSync(ended))
    t.ok(existsSync(join(fresh, 'token')))
    t.ok(hasToken())
  })
})

import t from 'tap'
import type { PoolShape } from '../../../lib/backend/backend.ts'
import { builtImage } from '../../fixtures/built-image.ts'
import { dockerPool } from '../../fixtures/docker-pool.ts'
import { dyingManager } from '../../fixtures/dying-manager.ts'
import { dockerSkip } from '../../fixtures/require-service.ts'

const skip = await dockerSkip()

t.setTimeout(120_000)

t.test('an image that was built again under its name is another version, and a pool goes on with what it has', { skip }, async (t) => {
  const image = await builtImage(t)
  const { backend, docker, containerIds, pool, env } = await dockerPool(t, { image })
  const imageOf = async (id = '') => (await docker.getContainer(id).inspect()).Image
  const [first] = await backend.grow(1)
  const shape = (await backend.shape()) as PoolShape
  t.equal(await backend.roll(shape), false, 'nothing differs')

  const source = await docker.createContainer({ Image: image })
  await source.commit({ repo: image.split(':')[0], tag: image.split(':')[1], changes: 'LABEL again=1' })
  await source.remove()
  const [, second] = await backend.grow(2)
  t.equal(await imageOf(second?.id), await imageOf(first?.id), 'growing makes more of the same')
  t.equal(second?.version?.id, first?.version?.id)

  const options = { env: 'docker', pool, image, slots: 2, min: 1, max: 1 } as const
  await dyingManager(options, env, 'roll', { after: 'response', matching: '^POST /containers/create' })
  t.equal((await containerIds()).length, 3, 'who began it was killed, and left one that was never started')
  t.equal(await backend.roll(shape), true, 'the next one begins it anew')
  const newest = (await backend.list()).find((one) => one.version?.generation === 1 && one.state === 'ready')
  t.equal(await imageOf(newest?.id), (await docker.getImage(image).inspect()).Id)
  t.not(newest?.version?.id, first?.version?.id)
  t.match(await docker.getContainer(newest?.id ?? '').inspect(), {
    Config: { Labels: { 'slotpool.version': newest?.version?.id, 'slotpool.generation': '1' } },
  })
  await t.rejects(backend.roll({ ...shape, image: 'slotpool/no-such:1' }), { code: 'IMAGE_NOT_FOUND' })
})

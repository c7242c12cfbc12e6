import t from 'tap'
import { containerSpec } from '../../../lib/backend/docker/container-spec.ts'
import { DockerEngine } from '../../../lib/backend/docker/engine.ts'
import { findHalfMade, halfMadeAfterMs, halfMadeWithToolsAfterMs } from '../../../lib/backend/docker/half-made.ts'
import { listPoolContainers } from '../../../lib/backend/docker/pool-containers.ts'
import { removeContainer } from '../../../lib/backend/docker/remove-container.ts'
import { loadConfig } from '../../../lib/config.ts'
import { builtImage } from '../../fixtures/built-image.ts'
import { dockerPool } from '../../fixtures/docker-pool.ts'
import { dockerSkip } from '../../fixtures/require-service.ts'

const skip = await dockerSkip()

t.test('a container whose maker died before it started it', { skip, timeout: 120_000 }, async (t) => {
  const image = await builtImage(t, '')
  const { pool, backend, hasVolume } = await dockerPool(t, { image })
  const engine = new DockerEngine()
  t.teardown(() => engine.close())
  const made = await engine.docker.createContainer(
    containerSpec({ config: loadConfig({ pool, image }, {}), image, version: { id: '', generation: 0 }, mounts: [] }, 0),
  )
  const volume = (await made.inspect()).Mounts[0]?.Name ?? ''

  const [container] = await listPoolContainers(engine, pool)
  if (container === undefined) throw new Error('the container that was just made is not listed')
  t.match(await backend.list(), [{ id: made.id, state: 'starting', reason: /is created/ }])
  t.same(await findHalfMade(engine, [container]), [], 'is left to its maker for a while')
  const older = { ...container, createdAtMs: container.createdAtMs - halfMadeAfterMs - 1000 }
  t.same(await findHalfMade(engine, [older]), [older])
  const withTools = { ...older, shape: { ...older.shape, toolsImage: image } }
  t.same(await findHalfMade(engine, [withTools]), [], 'for longer where tools may have to be copied first')
  const oldest = { ...withTools, createdAtMs: container.createdAtMs - halfMadeWithToolsAfterMs - 1000 }
  t.same(await findHalfMade(engine, [oldest]), [oldest])

  await Promise.all([removeContainer(engine, made.id), removeContainer(engine, made.id)])
  t.same(await listPoolContainers(engine, pool), [])
  t.notOk(await hasVolume(volume))
  await removeContainer(engine, made.id)
})

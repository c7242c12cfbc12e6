import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import t from 'tap'
import { DockerEngine } from '../../../lib/backend/docker/engine.ts'
import { undoContainers } from '../../../lib/backend/docker/undo-containers.ts'
import { SandboxClient } from '../../../lib/client/sandbox-client.ts'
import { sandboxServerProgram } from '../../../lib/package-root.ts'
import { protocolVersion } from '../../../lib/wire/protocol.ts'
import { archiveHeaders } from '../../fixtures/archive-headers.ts'
import { builtImage } from '../../fixtures/built-image.ts'
import { dockerPool } from '../../fixtures/docker-pool.ts'
import { dockerSkip } from '../../fixtures/require-service.ts'
import { sourceArgs } from '../../fixtures/source.ts'

const run = promisify(execFile)
const skip = await dockerSkip()

t.test('containers on a Docker engine', { skip, timeout: 300_000 }, async (t) => {
  const image = await builtImage(t)

  t.test('a pool grows, is found again, and leaves nothing', async (t) => {
    const { pool, backend, docker, containerIds, hasVolume, hasToken } = await dockerPool(t, { image, isolation: 'uid' })
    t.same(await backend.list(), [])
    t.equal(await backend.shape(), null)

    const [container, ...others] = await backend.grow(1)
    t.match(container, { index: 0, state: 'ready', endpoint: { url: /^http:\/\/[\d.]+:\d+$/ } })
    t.same(others, [])
    t.same(await backend.list(), [container])
    const terms = { limits: {}, networkAllow: [], mounts: [], drainMs: 20_000 }
    t.same(await backend.shape(), { image, slots: 2, isolation: 'uid', network: 'outbound', ...terms })

    const client = new SandboxClient(container?.endpoint ?? { url: '' }, await backend.token())
    t.teardown(() => client.close())
    t.match(await client.health(), { ok: true, protocol: protocolVersion })
    t.equal((await client.status()).slots.length, 2)
    const { lease } = await client.lease({ taskId: 'a', owner: 'o', ttlMs: 60_000 })
    const digest = (await docker.getImage(image).inspect()).Id
    const program = `sha256:${createHash('sha256').update(readFileSync(sandboxServerProgram())).digest('hex')}`
    t.match(lease.provenance, { image: { reference: image, digest }, server: { digest: program } })
    await client.release(lease.leaseId)
    const stranger = new SandboxClient(container?.endpoint ?? { url: '' }, 'another')
    t.teardown(() => stranger.close())
    await t.rejects(stranger.status(), { code: 'UNAUTHORIZED' })

    const info = await docker.getContainer(container?.id ?? '').inspect()
    const volume = info.Mounts[0]?.Name ?? ''
    t.equal(info.Mounts[0]?.Destination, '/var/lib/slotpool')
    t.ok(await hasVolume(volume))
    t.match((await docker.getVolume(volume).inspect()).Labels, { 'slotpool.pool': pool })
    t.same(await backend.grow(1), [container], 'growing to what is there makes none')

    await backend.destroy()
    t.same(await containerIds(), [])
    t.notOk(await hasVolume(volume))
    t.notOk(hasToken())
    t.same(await backend.list(), [])
    await backend.destroy()
  })

  t.test('the token is in a file for the container’s root, and nowhere that the engine tells', async (t) => {
    const { backend, docker } = await dockerPool(t, { image, isolation: 'uid' })
    const [container] = await backend.grow(1)
    const handle = docker.getContainer(container?.id ?? '')
    const token = await backend.token()
    t.notMatch(JSON.stringify(await handle.inspect()), token)
    t.notMatch((await handle.logs({ stdout: true, stderr: true })).toString(), token)
    const inContainer = await archiveHeaders(await handle.getArchive({ path: '/run/slotpool' }))
    t.match(inContainer[0], { name: 'slotpool/', mode: 0o700, uid: 0 })
    for (const { uid, mode, name } of inContainer.slice(1)) t.match({ uid, mode }, { uid: 0, mode: 0o600 }, name)
  })

  t.test('two processes that grow the same pool at once make one container for each index', async (t) => {
    const { env, pool, backend, containerIds } = await dockerPool(t, { image })
    const grow = async () => {
      const { stdout } = await run(process.execPath, [...sourceArgs('test/fixtures/grow-docker-pool.ts'), pool, image, '2'], { env })
      return JSON.parse(stdout) as { ids: string[]; token: string }
    }
    const [one, other, third] = await Promise.all([grow(), grow(), grow()])
    t.equal(one?.ids.length, 2)
    t.same(other, one)
    t.same(third, one)
    t.same((await containerIds()).sort(), one?.ids.sort())
    t.same(
      (await backend.list()).map(({ index, state }) => [index, state]),
      [
        [0, 'ready'],
        [1, 'ready'],
      ],
    )
  })

  t.test('a container that ended is replaced at its index, while it is being removed', async (t) => {
    const { backend, docker, containerIds } = await dockerPool(t, { image, isolation: 'uid' })
    const [first, second] = await backend.grow(2)
    const volume = (await docker.getContainer(first?.id ?? '').inspect()).Mounts[0]?.Name ?? ''
    await docker.getContainer(first?.id ?? '').kill()
    const again = await backend.grow(2)
    t.same(
      again.map((one) => one.index),
      [0, 1],
    )
    t.not(again[0]?.id, first?.id)
    t.equal(again[1]?.id, second?.id)
    t.equal((await containerIds()).length, 2)
    t.notOk(
      ((await docker.listVolumes()).Volumes ?? []).some((one) => one.Name === volume),
      'its volume went with it',
    )
  })

  t.test('who gives up while containers start leaves none', async (t) => {
    const { backend, docker, pool, containerIds } = await dockerPool(t, { image, isolation: 'uid' })
    const controller = new AbortController()
    const events = await docker.getEvents({ filters: { label: [`slotpool.pool=${pool}`], event: ['start'] } })
    events.once('data', () => controller.abort())
    await t.rejects(backend.grow(3, controller.signal), { code: 'CANCELLED' })
    ;(events as NodeJS.ReadableStream & { destroy(): void }).destroy()
    t.same(await containerIds(), [])
    await t.rejects(backend.grow(1, AbortSignal.abort()), { code: 'CANCELLED' })
    t.same(await containerIds(), [])
  })

  t.test('a name that a container of somebody else has is an error, not a wait', async (t) => {
    const { backend, docker, pool, containerIds } = await dockerPool(t, { image, isolation: 'uid' })
    const stranger = await docker.createContainer({ name: `slotpool-${pool}-1`, Image: image })
    t.teardown(() => stranger.remove({ force: true, v: true }))
    await t.rejects(backend.grow(2), { code: 'CONTAINER_FAILED', message: new RegExp(`the name slotpool-${pool}-1 is taken`) })
    t.same(await containerIds(), [])
  })

  t.test('of what a failed call takes back, a container in which a task has a slot stays', async (t) => {
    const { backend, docker, pool, containerIds } = await dockerPool(t, { image, isolation: 'uid' })
    const [leased, idle] = await backend.grow(2)
    const client = new SandboxClient(leased?.endpoint ?? { url: '' }, await backend.token())
    t.teardown(() => client.close())
    await client.lease({ taskId: 'a', owner: 'somebody', ttlMs: 60_000 })
    const engine = new DockerEngine()
    t.teardown(() => engine.close())
    const undo = async () => undoContainers(engine, pool, await backend.token(), [leased?.id ?? '', idle?.id ?? ''])
    // Who does not answer may have a lease, too.
    await docker.getContainer(idle?.id ?? '').pause()
    await undo()
    t.same(new Set(await containerIds()), new Set([leased?.id, idle?.id]))
    await docker.getContainer(idle?.id ?? '').unpause()
    await undo()
    t.same(await containerIds(), [leased?.id])
  })

  t.test('an image that the engine does not have', async (t) => {
    const { backend, containerIds } = await dockerPool(t, { image: 'slotpool/test:no-such-image' })
    await t.rejects(backend.grow(2), { code: 'IMAGE_NOT_FOUND', message: /slotpool image build --tag slotpool\/test:no-such-image$/ })
    t.same(await containerIds(), [])
  })
})

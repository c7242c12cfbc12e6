import { once } from 'node:events'
import Docker from 'dockerode'
import t, { type Test } from 'tap'
import type { Container } from '../../../lib/backend/backend.ts'
import { DockerBackend } from '../../../lib/backend/docker/docker-backend.ts'
import { SandboxClient } from '../../../lib/client/sandbox-client.ts'
import { loadConfig } from '../../../lib/config.ts'
import { builtImage } from '../../fixtures/built-image.ts'
import { dockerPool } from '../../fixtures/docker-pool.ts'
import { relay } from '../../fixtures/relay.ts'
import { dockerSkip } from '../../fixtures/require-service.ts'
import { watched } from '../../fixtures/watched.ts'

const skip = await dockerSkip()

t.setTimeout(300_000)

/** A pool of the test's own, and who watches it; `made` has it have a container. */
async function watchedPool(t: Test) {
  const image = await builtImage(t)
  const { backend, docker, env, pool, hasVolume } = await dockerPool(t, { image, isolation: 'uid' })
  const told = watched(t, backend)
  const made = async () => {
    const [one] = await backend.grow(1)
    const { id = '', endpoint = { url: '' } } = one ?? {}
    await told.until((seen) => isReady(seen) && seen[0]?.id === id)
    return { id, endpoint, handle: docker.getContainer(id) }
  }
  return { image, backend, docker, env, pool, hasVolume, told, made }
}

const isReady = ([one]: readonly Container[]) => one?.state === 'ready'
/** Dead for as long as the engine takes to remove it. */
const isGone = ([one]: readonly Container[]) => one === undefined || one.state === 'dead'

t.test('what befalls a container is told, and the list shows it', { skip }, async (t) => {
  const { image, backend, docker, env, pool, hasVolume, told, made } = await watchedPool(t)

  await t.test('removed by hand, without its volume', async (t) => {
    const { handle, id } = await made()
    const volume = (await handle.inspect()).Mounts[0]?.Name ?? ''
    await handle.remove({ force: true })
    await told.until(isGone)
    t.notOk((await backend.list()).some((one) => one.id === id && one.state !== 'dead'))
    const { backend: other } = await dockerPool(t, { image, isolation: 'uid' })
    await other.grow(1)
    t.notOk(await hasVolume(volume), 'which goes when any pool grows')
    await other.destroy()
  })

  await t.test('paused, which keeps its leases', async (t) => {
    const { handle, id, endpoint } = await made()
    const client = new SandboxClient(endpoint, await backend.token())
    t.teardown(() => client.close())
    const { lease } = await client.lease({ taskId: 'a', owner: 'o', ttlMs: 600_000 })
    await handle.pause()
    const [paused] = await told.until((seen) => !isReady(seen))
    t.match(paused, { id, state: 'starting', reason: /is paused/ })
    await handle.unpause()
    await told.until(isReady)
    t.equal((await client.leaseOfTask('a'))?.leaseId, lease.leaseId)
    await client.release(lease.leaseId)
  })

  await t.test('out of memory', async (t) => {
    const { handle, id } = await made()
    await handle.update({ Memory: 200 * 1024 * 1024, MemorySwap: 200 * 1024 * 1024 })
    const events = (await docker.getEvents({ filters: { container: [id], event: ['oom'] } })) as NodeJS.ReadableStream & { destroy(): void }
    const oom = once(events, 'data')
    // The kernel takes the server first, and another process uses up the memory.
    const eat = 'for p in $(pgrep node); do echo 1000 > /proc/$p/oom_score_adj; done; tail /dev/zero'
    const exec = await handle.exec({ Cmd: ['bash', '-c', eat] })
    ;(await exec.start({ Detach: true })).resume()
    await told.until((seen) => isGone(seen) || seen[0]?.id !== id)
    await oom
    events.destroy()
    t.match(await backend.grow(1), [{ state: 'ready' }])
  })

  await t.test('while the engine cannot be reached: made up for when it is back', async (t) => {
    const { id } = await made()
    const way = await relay(t, { path: '/var/run/docker.sock' })
    const DOCKER_HOST = `unix://${(way.at as { path: string }).path}`
    const far = new DockerBackend(loadConfig({ env: 'docker', pool, image, slots: 2 }, {}), { ...env, DOCKER_HOST })
    t.teardown(() => far.close())
    const farTold = watched(t, far)
    await farTold.until(isReady)
    await way.down()
    await t.rejects(far.list(), { code: 'DOCKER_UNAVAILABLE' })
    await new Docker().getContainer(id).remove({ force: true, v: true })
    await way.up()
    await farTold.until(isGone)
    await farTold.end()
  })
})

// In a pool of its own: an engine under load may be left with the place in its network of one that it restarts, under a name that no other can
// have then.
t.test('restarted: the same container with another boot of its server, ready once that answers', { skip }, async (t) => {
  const { told, made } = await watchedPool(t)
  const { handle, id, endpoint } = await made()
  const boot = async (at: typeof endpoint) => {
    const client = new SandboxClient(at, '')
    const { bootId } = await client.health()
    await client.close()
    return bootId
  }
  const before = await boot(endpoint)
  const restarting = handle.restart({ t: 0 })
  restarting.catch(() => {})
  await told.until((seen) => !isReady(seen))
  await restarting.catch(() => {})
  // An engine under load may take the stop of one that is to be removed when it ends for its end.
  const [again] = await told.until((seen) => isReady(seen) || seen.length === 0)
  if (!again) return t.equal(await boot(endpoint).catch(() => 'none'), 'none')
  t.equal(again.id, id)
  t.not(await boot(again.endpoint ?? { url: '' }), before)
})

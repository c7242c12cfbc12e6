import Docker from 'dockerode'
import t from 'tap'
import { z } from 'zod'
import type { Container } from '../../../lib/backend/backend.ts'
import { SandboxClient } from '../../../lib/client/sandbox-client.ts'
import { listNodes } from '../../../lib/nomad/nodes.ts'
import { builtImage } from '../../fixtures/built-image.ts'
import { nomadAgent } from '../../fixtures/nomad-agent.ts'
import { containersOf } from '../../fixtures/nomad-leftovers.ts'
import { nomadPool } from '../../fixtures/nomad-pool.ts'
import { relay } from '../../fixtures/relay.ts'
import { dockerSkip, nomadSkip } from '../../fixtures/require-service.ts'
import { watched } from '../../fixtures/watched.ts'

const skip = (await nomadSkip()) || (await dockerSkip())

// The whole file; starting agents, images and containers takes its time on a busy machine.
t.setTimeout(300_000)

const isReady = ([one]: readonly Container[]) => one?.state === 'ready'

t.test('what befalls a container on a real Nomad is told, and the list shows it', { skip }, async (t) => {
  const image = await builtImage(t)
  const agent = await nomadAgent(t)
  const pool = nomadPool(t, agent, { image })
  const backend = pool.backend()
  const told = watched(t, backend)
  const put = (path: string, body: unknown = {}) =>
    agent.client.request({ method: 'PUT', path, body, schema: z.unknown(), purpose: 'do as an operator does' })
  const boot = async (one: Container | undefined) => {
    const client = new SandboxClient(one?.endpoint ?? { url: '' }, '')
    try {
      return (await client.health()).bootId
    } finally {
      await client.close()
    }
  }
  const docker = new Docker()
  const handleOf = async (id: string) => docker.getContainer((await containersOf(id))[0] ?? '')
  const made = async (): Promise<Container> => {
    await backend.grow(1)
    const [one] = await told.until((seen) => seen.length === 1 && isReady(seen))
    return one as Container
  }

  await t.test('a stopped allocation: another comes in its place', async (t) => {
    const before = await made()
    await put(`/v1/allocation/${before.id}/stop`)
    const [after] = await told.until((seen) => seen.length === 1 && isReady(seen) && seen[0]?.id !== before.id)
    t.equal(after?.index, before.index)
    t.equal(await pool.count(), 1)
  })

  await t.test('restarted in place: the same container with another boot of its server, ready once that answers', async (t) => {
    const before = await made()
    const bootBefore = await boot(before)
    await put(`/v1/client/allocation/${before.id}/restart`, { TaskName: 'sandbox-server' })
    let after = before
    for (const own = watched(t, backend); (await boot(after).catch(() => bootBefore)) === bootBefore; ) {
      ;[after = before] = await own.until(isReady)
      await new Promise((resolve) => setImmediate(resolve))
    }
    t.equal(after.id, before.id)
    t.match(await backend.list(), [{ id: before.id, state: 'ready' }])
    t.equal(await pool.count(), 1)
  })

  await t.test('out of memory: dead, in Nomad’s words, and replaced by growing', async (t) => {
    const before = await made()
    const handle = await handleOf(before.id)
    await handle.update({ Memory: 200 * 1024 * 1024, MemorySwap: 200 * 1024 * 1024 })
    // The kernel takes the server first, and another process uses up the memory.
    const eat = 'for p in $(pgrep node); do echo 1000 > /proc/$p/oom_score_adj; done; tail /dev/zero'
    const exec = await handle.exec({ Cmd: ['bash', '-c', eat] })
    ;(await exec.start({ Detach: true })).resume()
    const [dead] = await told.until(([one]) => one?.state === 'dead')
    t.match(dead, { id: before.id, reason: /OOM Killed|137/ })
    t.equal((await pool.running()).length, 0, 'it is not replaced unasked')
    t.not((await made()).id, before.id)
  })

  await t.test('a container that Docker lost', async (t) => {
    const before = await made()
    await (await handleOf(before.id)).remove({ force: true, v: true })
    await told.until(([one]) => one?.state === 'dead')
    t.not((await made()).id, before.id)
  })

  await t.test('paused: Nomad does not notice, and whoever asks it waits', async (t) => {
    const before = await made()
    const handle = await handleOf(before.id)
    await handle.pause()
    const client = new SandboxClient(before.endpoint ?? { url: '' }, '')
    t.teardown(() => client.close())
    await t.rejects(client.health(AbortSignal.timeout(300)), { code: 'CANCELLED' })
    t.match(await backend.list(), [{ id: before.id, state: 'ready' }])
    t.match(
      await pool.backend().list(),
      [{ id: before.id, state: 'starting', reason: /did not answer/ }],
      'to who comes new it is not ready',
    )
    await handle.unpause()
    t.match(await client.health(), { ok: true })
  })

  await t.test('no way to Nomad: made up for when it is back', async (t) => {
    const before = await made()
    const way = await relay(t, { host: '127.0.0.1', port: Number(new URL(agent.address).port) })
    const far = pool.backend({ nomad: { address: `http://127.0.0.1:${(way.at as { port: number }).port}` } })
    const farTold = watched(t, far)
    await farTold.until(isReady)
    await way.down()
    await backend.remove(before)
    await t.rejects(far.list(), { code: 'NOMAD_UNAVAILABLE' })
    await way.up()
    await farTold.until((seen) => seen.length === 0)
    await farTold.end()
  })

  await t.test('a drained node: its container is ended, and another comes when there is a node again', async (t) => {
    const before = await made()
    const { value: nodes } = await listNodes(agent.client)
    const node = nodes[0]?.ID ?? ''
    await put(`/v1/node/${node}/drain`, { DrainSpec: { Deadline: 3_600_000_000_000 } })
    await told.until((seen) => seen.every((one) => one.id !== before.id || one.state === 'dead'))
    await told.until((seen) => seen.length === 0)
    const error: unknown = await backend.grow(1).catch((thrown: unknown) => thrown)
    t.match(error, { code: 'NOMAD_PLACEMENT_FAILED', details: { blocked: true, missing: 1, wanted: 1, placeable: 0, nodesEvaluated: 0 } })
    await put(`/v1/node/${node}/drain`, { DrainSpec: null, MarkEligible: true })
    const [after] = await told.until((seen) => seen.length === 1 && isReady(seen))
    t.not(after?.id, before.id)
    t.equal(await pool.count(), 1)
  })
})

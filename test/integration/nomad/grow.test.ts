import { inspect } from 'node:util'
import Docker from 'dockerode'
import t from 'tap'
import type { Container } from '../../../lib/backend/backend.ts'
import { SandboxClient } from '../../../lib/client/sandbox-client.ts'
import { hasEnded } from '../../../lib/nomad/allocations.ts'
import { deregisterJob, type Job, readJob, registerJob, setJobGroups } from '../../../lib/nomad/jobs.ts'
import { builtImage } from '../../fixtures/built-image.ts'
import { nomadAgent } from '../../fixtures/nomad-agent.ts'
import { containersOf } from '../../fixtures/nomad-leftovers.ts'
import { nomadPool } from '../../fixtures/nomad-pool.ts'
import { dockerSkip, nomadSkip } from '../../fixtures/require-service.ts'

const skip = (await nomadSkip()) || (await dockerSkip())

// The whole file; starting agents, images and containers takes its time on a busy machine.
t.setTimeout(300_000)

t.test('a pool on a real Nomad', { skip }, async (t) => {
  const image = await builtImage(t)
  const agent = await nomadAgent(t)

  await t.test('grows, is found again by another manager, and leaves nothing', async (t) => {
    const pool = nomadPool(t, agent, { image })
    const backend = pool.backend()
    t.strictSame(await backend.list(), [])
    t.equal(await backend.shape(), null)

    const containers = await backend.grow(2)
    t.match(containers, [
      { index: 0, state: 'ready', node: String, endpoint: { url: /^http:\/\/127\.0\.0\.1:\d+$/ } },
      { index: 1, state: 'ready' },
    ])
    t.equal(new Set(containers.map((one) => one.id)).size, 2)
    t.strictSame(await backend.shape(), {
      driver: 'docker',
      image,
      slots: 2,
      isolation: 'auto',
      network: 'outbound',
      limits: {},
      networkAllow: [],
      mounts: [],
      drainMs: 20_000,
      placement: {},
    })

    const other = pool.backend()
    t.strictSame(await other.list(), containers)
    t.strictSame(await other.grow(2), containers)
    t.strictSame(await other.grow(1), containers, 'a smaller count lowers nothing')
    t.equal(await pool.count(), 2)

    const token = await other.token()
    t.equal(token, await backend.token())
    for (const { endpoint } of containers) {
      const client = new SandboxClient(endpoint ?? { url: '' }, token)
      t.teardown(() => client.close())
      t.match(await client.status(), { pool: pool.jobId.replace('slotpool-', ''), isolation: 'jail', slots: [{}, {}] })
      t.match((await client.status()).provenance, { image: { reference: image, digest: null }, server: { digest: /^sha256:/ } })
    }
    t.notMatch(inspect(await readJob(agent.client, pool.jobId), { depth: 20 }), token, 'the job does not hold the token')
    for (const id of await containersOf(containers[0]?.id ?? '')) {
      t.notMatch(inspect(await new Docker().getContainer(id).inspect(), { depth: 20 }), token, 'nor does the container')
    }

    await other.destroy()
    t.strictSame(await pool.left(), [])
    t.strictSame(await backend.list(), [])
    await other.destroy()
  })

  await t.test('managers that grow at once make no more than the largest count', async (t) => {
    const pool = nomadPool(t, agent, { image })
    const grown = await Promise.all([pool.backend().grow(2), pool.backend().grow(3), pool.backend().grow(1), pool.backend().grow(3)])
    t.strictSame(
      grown.map((one, i) => one.filter((container) => container.state === 'ready').length >= ([2, 3, 1, 3][i] ?? 0)),
      [true, true, true, true],
    )
    t.equal(await pool.count(), 3)
    t.equal((await pool.running()).length, 3)
    t.equal(new Set(await Promise.all([1, 2, 3].map(() => pool.backend().token()))).size, 1)
  })

  await t.test('a container that died is dead, is not replaced unasked, and is replaced by growing', async (t) => {
    const pool = nomadPool(t, agent, { image })
    const backend = pool.backend()
    const [first, second] = await backend.grow(2)
    for (let round = 0; round < 2; round++) {
      const victim = (await backend.list()).find((one) => one.index === 1)
      const [container = ''] = await containersOf(victim?.id ?? '')
      await new Docker().getContainer(container).kill()
      await pool.until((all) => all.some((one) => one.ID === victim?.id && hasEnded(one)))
      t.match((await backend.list())[1], { id: victim?.id, state: 'dead', reason: /137/ })
      t.equal((await pool.running()).length, 1)

      const after = await backend.grow(2)
      t.match(after, [
        { id: first?.id, state: 'ready' },
        { index: 1, state: 'ready' },
      ])
      t.not(after[1]?.id, victim?.id)
      t.not(after[1]?.id, second?.id)
      t.equal(await pool.count(), 2)
    }
    await backend.destroy()
    t.strictSame(await pool.left(), [])
  })

  await t.test('a job of somebody else’s that is called so stays as it is', async (t) => {
    const pool = nomadPool(t, agent, { image })
    const web = { Name: 'web', Count: 0, Tasks: [{ Name: 'www', Driver: 'docker', Config: { image } }] }
    await registerJob(agent.client, { ID: pool.jobId, Name: pool.jobId, Type: 'service', Datacenters: ['*'], TaskGroups: [web] }, 0)
    const before = await readJob(agent.client, pool.jobId)
    const refused = { code: 'POOL_CONFIG_MISMATCH', message: /is not one of pool/, details: { job: pool.jobId } }
    await t.rejects(pool.backend().grow(1), refused)
    await t.rejects(pool.backend().destroy(), refused)
    t.strictSame(await readJob(agent.client, pool.jobId), before)
    await deregisterJob(agent.client, pool.jobId, { purge: true })
  })

  await t.test('a group that somebody added to the job is none of the pool’s, and stays', async (t) => {
    const pool = nomadPool(t, agent, { image })
    const backend = pool.backend()
    await backend.grow(1)
    const job = (await readJob(agent.client, pool.jobId)) as Job
    const command = { image, entrypoint: ['sleep'], command: '600' }
    const shipper = { Name: 'shipper', Count: 1, Tasks: [{ Name: 'ship', Driver: 'docker', Config: command, KillSignal: 'SIGKILL' }] }
    await setJobGroups(agent.client, job, [...job.TaskGroups, shipper])
    await pool.until((all) => all.some((one) => one.TaskGroup === 'shipper' && one.ClientStatus === 'running'))
    t.equal((await backend.list()).length, 1)
    t.equal((await backend.grow(2)).length, 2)
    const [, second] = await backend.list()
    await backend.remove(second as Container)
    t.equal((await backend.list()).length, 1)
    const groups = (await readJob(agent.client, pool.jobId))?.TaskGroups
    t.strictSame(groups?.map(({ Name, Count }) => [Name, Count]).sort(), [
      ['sandbox', 1],
      ['shipper', 1],
    ])
    t.ok((await pool.running()).some((one) => one.TaskGroup === 'shipper'))
  })
})

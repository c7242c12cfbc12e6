import Docker from 'dockerode'
import t from 'tap'
import type { Container } from '../../../lib/backend/backend.ts'
import type { NomadPool } from '../../../lib/backend/nomad/nomad-pool.ts'
import { undoGrowth } from '../../../lib/backend/nomad/undo-growth.ts'
import { SandboxClient } from '../../../lib/client/sandbox-client.ts'
import { SlotpoolError } from '../../../lib/errors.ts'
import { allocationRun } from '../../../lib/nomad/allocations.ts'
import { type Job, readJob, setJobCount } from '../../../lib/nomad/jobs.ts'
import { readVariable } from '../../../lib/nomad/variables.ts'
import { builtImage } from '../../fixtures/built-image.ts'
import { nomadAgent } from '../../fixtures/nomad-agent.ts'
import { containersOf } from '../../fixtures/nomad-leftovers.ts'
import { meanwhile } from '../../fixtures/nomad-meanwhile.ts'
import { nomadPool } from '../../fixtures/nomad-pool.ts'
import { dockerSkip, nomadSkip } from '../../fixtures/require-service.ts'

const skip = (await nomadSkip()) || (await dockerSkip())

// The whole file; starting agents, images and containers takes its time on a busy machine.
t.setTimeout(300_000)

t.test('a growth that is taken back', { skip }, async (t) => {
  const image = await builtImage(t)
  const agent = await nomadAgent(t)
  const test = nomadPool(t, agent, { image })
  const backend = test.backend()
  const containers = await backend.grow(3)
  const [first, second] = containers
  const pool: NomadPool = { ...test.parts(), answered: new Set((await test.running()).map(allocationRun)) }
  const index = async () => (await readJob(agent.client, test.jobId))?.JobModifyIndex ?? 0
  const why = new SlotpoolError('CANCELLED', 'enough')
  const ranBefore = new Set([first?.id ?? ''])

  await t.test('leaves the count to whoever changed it since', async (t) => {
    await t.rejects(undoGrowth(pool, { ranBefore, changedTo: (await index()) - 1, added: null }, why), why)
    t.equal(await test.count(), 3)
  })

  await t.test('changes nothing when it changed nothing', async (t) => {
    await t.rejects(undoGrowth(pool, { ranBefore, changedTo: null, added: null }, why), why)
    t.equal(await test.count(), 3)
  })

  await t.test('keeps a container that somebody leased a slot of, and what runs below it', async (t) => {
    const client = new SandboxClient(second?.endpoint ?? { url: '' }, await backend.token())
    t.teardown(() => client.close())
    const { lease } = await client.lease({ taskId: 'busy', owner: 'o', ttlMs: 60_000 })
    await t.rejects(undoGrowth(pool, { ranBefore, changedTo: await index(), added: null }, why), why)
    t.match(await backend.list(), [{ id: first?.id }, { id: second?.id, state: 'ready' }])
    t.equal(await test.count(), 2)
    await client.release(lease.leaseId)
  })

  await t.test('keeps a container that has served and is silent now: it may have leases', async (t) => {
    const [id = ''] = await containersOf(second?.id ?? '')
    await new Docker().getContainer(id).pause()
    t.teardown(() => new Docker().getContainer(id).unpause())
    await t.rejects(undoGrowth(pool, { ranBefore, changedTo: await index(), added: null }, why), why)
    t.equal(await test.count(), 2)
  })

  await t.test('removes what nobody uses, and nobody gets a lease there meanwhile', async (t) => {
    const parts = { ...test.parts(), answered: pool.answered }
    const client = new SandboxClient(second?.endpoint ?? { url: '' }, await backend.token())
    t.teardown(() => client.close())
    const late = client.lease.bind(client, { taskId: 'late', owner: 'o', ttlMs: 60_000 })
    let refusal: unknown
    meanwhile(
      parts.client,
      'before',
      ({ path }) => path === '/v1/jobs',
      async () => {
        refusal = await late().catch((error) => error)
      },
    )
    await t.rejects(undoGrowth(parts, { ranBefore, changedTo: await index(), added: null }, why), why)
    t.match(refusal, { code: 'SLOT_UNAVAILABLE' })
    t.match(await backend.list(), [{ id: first?.id, state: 'ready' }])
    t.equal(await test.count(), 1)
  })

  await t.test('removes what it had retired also when somebody changes the job just then', async (t) => {
    const [, again] = await backend.grow(2)
    const parts = { ...test.parts(), answered: new Set((await test.running()).map(allocationRun)) }
    const raise = async (): Promise<void> => {
      const job = (await readJob(agent.client, test.jobId)) as Job
      await setJobCount(agent.client, job, 'sandbox', 3)
    }
    const changedTo = await index()
    let times = 0
    meanwhile(parts.client, 'before', ({ method }) => method === 'PUT' && times++ === 0, raise)
    await t.rejects(undoGrowth(parts, { ranBefore, changedTo, added: null }, why), why)
    t.equal(await test.count(), 3)
    const after = await backend.grow(3)
    t.equal(after.filter((one) => one.state === 'ready').length, 3)
    t.notOk(after.some((one) => one.id === again?.id && one.state === 'ready'))
  })

  await t.test('removes the job when nothing ran before', async (t) => {
    await t.rejects(undoGrowth(pool, { ranBefore: new Set(), changedTo: await index(), added: null }, why), why)
    t.equal(await readJob(agent.client, test.jobId), null)
    t.equal((await test.running()).length, 0)
  })

  await t.test('leaves alone a pool that another makes again meanwhile', async (t) => {
    const pool = test.parts()
    await pool.token.ensure()
    await test.backend().grow(1)
    const job = await readJob(agent.client, test.jobId)
    let other: Container[] = []
    let times = 0
    meanwhile(
      pool.client,
      'after',
      ({ path }) => path === '/v1/jobs' && times++ === 0,
      async () => {
        other = await test.backend().grow(1)
      },
    )
    await t.rejects(undoGrowth(pool, { ranBefore: new Set(), changedTo: job?.JobModifyIndex ?? 0, added: null }, why), why)
    t.equal(other.filter((one) => one.state === 'ready').length, 1)
    t.match(await test.backend().list(), [{ id: other.find((one) => one.state === 'ready')?.id, state: 'ready' }])
    t.equal(await test.count(), 1)
    t.ok(await readVariable(agent.client, `nomad/jobs/${test.jobId}`), 'its token is there')
  })
})

t.test('a manager that waits for a container which another takes back makes it again', { skip }, async (t) => {
  const image = await builtImage(t)
  const agent = await nomadAgent(t)
  const test = nomadPool(t, agent, { image })
  const growing = test.backend().grow(2)
  await test.until((all) => all.length === 2)
  const job = await readJob(agent.client, test.jobId)
  t.ok(job)
  if (job) await setJobCount(agent.client, job, 'sandbox', 1)
  const ready = (await growing).filter((one) => one.state === 'ready')
  t.match(ready, [{ index: 0 }, { index: 1 }])
  t.equal(await test.count(), 2)
})

import t from 'tap'
import type { PoolShape } from '../../../lib/backend/backend.ts'
import { changedJob } from '../../../lib/backend/nomad/changed-job.ts'
import { growByGroup } from '../../../lib/backend/nomad/grow-pool.ts'
import { poolJobOf } from '../../../lib/backend/nomad/pool-job.ts'
import { versionId } from '../../../lib/backend/pool-version.ts'
import { checkNomad } from '../../../lib/cli/doctor/nomad.ts'
import { loadConfig } from '../../../lib/config.ts'
import type { AllocationStub } from '../../../lib/nomad/allocations.ts'
import { poolJobSpec } from '../../../lib/nomad/job-spec.ts'
import { type Job, readJob, registerJob, setJobCount, setJobGroups } from '../../../lib/nomad/jobs.ts'
import { planJob } from '../../../lib/nomad/plan.ts'
import type { OpenOptions } from '../../../lib/pool/slot-pool.ts'
import { SlotPool } from '../../../lib/pool/slot-pool.ts'
import { builtImage } from '../../fixtures/built-image.ts'
import { bareMachine, noAbort } from '../../fixtures/doctor-machine.ts'
import { dyingManager } from '../../fixtures/dying-manager.ts'
import { nomadAgent } from '../../fixtures/nomad-agent.ts'
import { meanwhile } from '../../fixtures/nomad-meanwhile.ts'
import { nomadPool } from '../../fixtures/nomad-pool.ts'
import { dockerSkip, nomadSkip } from '../../fixtures/require-service.ts'

const skip = (await nomadSkip()) || (await dockerSkip())

// The whole file; starting agents, images and containers takes its time on a busy machine.
t.setTimeout(300_000)

t.test('a pool on a real Nomad is changed by a group of its own', { skip }, async (t) => {
  const image = await builtImage(t)
  const agent = await nomadAgent(t)
  const test = nomadPool(t, agent, { image })
  const backend = test.backend()
  const options: OpenOptions = {
    ...{ env: 'nomad', pool: test.jobId.slice('slotpool-'.length), image, slots: 2, min: 1, max: 2, nomad: agent.connection },
  }
  const groups = async () => (await readJob(agent.client, test.jobId))?.TaskGroups.map(({ Name, Count }) => [Name, Count])
  const [first] = await backend.grow(1)
  const shape = (await backend.shape()) as PoolShape

  await t.test('one that does not start is taken back', async (t) => {
    const placement = { constraints: ['${attr.kernel.name} = none'] }
    await t.rejects(backend.roll({ ...shape, placement }), { code: 'NOMAD_PLACEMENT_FAILED', message: /1 more container/ })
    t.same(await groups(), [['sandbox', 1]])
    t.match(await backend.list(), [{ id: first?.id, state: 'ready' }])
  })

  await t.test('so is one that does not start while others change the rest of the job', async (t) => {
    await backend.grow(2)
    const parts = test.parts()
    const placement = { constraints: ['${attr.kernel.name} = none'] }
    const spec = changedJob(parts.job, { ...shape, placement }, 1)
    const scaleDown = async (): Promise<void> => {
      const job = (await readJob(agent.client, test.jobId)) as Job
      await setJobCount(agent.client, job, 'sandbox', 1)
    }
    let times = 0
    meanwhile(parts.client, 'after', ({ path }) => path === '/v1/jobs' && times++ === 0, scaleDown)
    const rolling = growByGroup(parts, spec, versionId({ ...shape, placement }, parts.job.version), new AbortController().signal)
    await t.rejects(rolling, { code: 'NOMAD_PLACEMENT_FAILED' })
    t.same(await groups(), [['sandbox', 1]])
  })

  await t.test('a group that somebody else uses stays, and that is said', async (t) => {
    const parts = test.parts()
    const placement = { constraints: ['${attr.kernel.name} = none'] }
    const spec = changedJob(parts.job, { ...shape, placement }, 1)
    meanwhile(
      parts.client,
      'after',
      ({ path }) => path === '/v1/jobs',
      async () => {
        const job = (await readJob(agent.client, test.jobId)) as Job
        await setJobCount(agent.client, job, 'sandbox-1', 2)
      },
    )
    const rolling = growByGroup(parts, spec, versionId({ ...shape, placement }, parts.job.version), new AbortController().signal)
    await t.rejects(rolling, { code: 'NOMAD_PLACEMENT_FAILED', message: /sandbox-1 .* stays the newest/, details: { group: 'sandbox-1' } })
    const job = (await readJob(agent.client, test.jobId)) as Job
    await setJobGroups(
      agent.client,
      job,
      job.TaskGroups.filter(({ Name }) => Name === 'sandbox'),
    )
  })

  await t.test('what Nomad has for the whole job at once cannot be changed so', async (t) => {
    const placement = { ...shape.placement, nodePool: 'other' }
    await t.rejects(backend.roll({ ...shape, placement }), {
      code: 'POOL_CONFIG_MISMATCH',
      details: { option: 'nomad.nodePool', got: 'other' },
    })
  })

  await t.test('a manager that is killed over it has begun it, and the next ends it', async (t) => {
    const changed = { ...options, slots: 3 }
    await dyingManager(changed, process.env, 'roll', { after: 'response', matching: '^PUT /v1/jobs' })
    t.same(await groups(), [
      ['sandbox', 1],
      ['sandbox-1', 1],
    ])
    const isFirst = (one: AllocationStub): boolean => one.ID === first?.id && one.DesiredStatus === 'run'
    t.ok((await test.running()).some(isFirst), 'the allocation of before runs on, whatever of others is still ending')
    const pool = await SlotPool.open({ ...changed, change: 'roll' })
    t.teardown(() => pool.close())
    await pool.finishChange()
    t.same(await groups(), [['sandbox-1', 1]], 'the group of before went with the last of its containers')
    t.match(await backend.list(), [{ index: 0, state: 'ready', version: { generation: 1 } }])
    const { backend: _, ...settings } = changed
    const spec = poolJobSpec({ ...poolJobOf(loadConfig(settings, {})), generation: 1, count: 1 })
    t.equal((await planJob(agent.client, spec)).Diff.Type, 'None', 'the job is as one that was never changed')
  })

  await t.test('a job that was changed by hand is kept so, and said to be', async (t) => {
    const job = (await readJob(agent.client, test.jobId)) as Job
    t.same(await backend.changedByHand(), [])
    await registerJob(agent.client, withMemory(job, 600), job.JobModifyIndex)
    const change = 'group sandbox-1: Tasks.sandbox-server.Resources.MemoryMB is 600, was 512'
    const notices: string[] = []
    const open = async (more: OpenOptions) => {
      const opened = await SlotPool.open({ ...options, slots: 3, onNotice: (line) => notices.push(line), ...more })
      t.teardown(() => opened.close())
      return opened
    }
    const pool = await open({ min: 2 })
    await pool.fill()
    t.same(notices, [`slotpool: pool ${options.pool} was changed by hand, and stays so: ${change}`], 'once')
    t.same(memoryOf(await readJob(agent.client, test.jobId)), [600], 'growing changed nothing but the count')
    t.same(await groups(), [['sandbox-1', 2]])
    t.same((await pool.status()).changed_by_hand, [change])
    const config = loadConfig({ pool: options.pool as string, nomad: agent.connection }, {})
    t.match((await checkNomad(config, bareMachine(), noAbort())).detail, `; the job of pool ${options.pool} was changed by hand: ${change}`)
    await t.rejects(open({ slots: 4, change: 'roll' }), {
      code: 'POOL_CHANGED_BY_HAND',
      message: new RegExp(change),
      details: { changes: [change] },
    })
    t.same(await groups(), [['sandbox-1', 2]])
    await open({ slots: 4, change: 'force' })
    t.same(memoryOf(await readJob(agent.client, test.jobId)), [600, 512])
  })
})

interface Group {
  Tasks: { Resources: { MemoryMB: number } }[]
}

function withMemory(job: Job, memoryMb: number): Job {
  const groups = job.TaskGroups as unknown as Group[]
  const [group] = groups.map((one) => ({
    ...one,
    Tasks: one.Tasks.map((task) => ({ ...task, Resources: { ...task.Resources, MemoryMB: memoryMb } })),
  }))
  return { ...job, TaskGroups: [group] as unknown as Job['TaskGroups'] }
}

function memoryOf(job: Job | null): (number | undefined)[] {
  return ((job?.TaskGroups ?? []) as unknown as Group[]).map((one) => one.Tasks[0]?.Resources.MemoryMB)
}

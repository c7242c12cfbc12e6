import t from 'tap'
import { SlotPool } from '../../../lib/index.ts'
import { readJob } from '../../../lib/nomad/jobs.ts'
import { builtImage } from '../../fixtures/built-image.ts'
import { nomadAgent } from '../../fixtures/nomad-agent.ts'
import { nomadPool } from '../../fixtures/nomad-pool.ts'
import { dockerSkip, nomadSkip } from '../../fixtures/require-service.ts'

const skip = (await nomadSkip()) || (await dockerSkip())

t.setTimeout(300_000)

t.test('containers come where they may be, and nowhere else', { skip }, async (t) => {
  const image = await builtImage(t)
  const agent = await nomadAgent(t, { config: { client: { meta: { rack: 'r1' }, memory_total_mb: 3_000 } } })

  await t.test('where no node is as it must be, that is said in Nomad\u2019s words', async (t) => {
    const cases = [
      [{ constraints: ['${meta.rack} = r2'] }, 'constraint "${meta.rack} = r2" excluded 1 node'],
      [
        { constraints: ['${meta.rack} regexp ^s[0-9]', '${attr.kernel.name} = linux'] },
        'constraint "${meta.rack} regexp ^s[0-9]" excluded 1 node',
      ],
      [{ datacenters: ['mars'] }, /no nodes|datacenter/i],
      [{ cores: 5_000 }, /cores/],
    ] as const
    for (const [nomad, reason] of cases) {
      const pool = nomadPool(t, agent, { image })
      const error = await pool
        .backend({ nomad })
        .grow(1)
        .then(
          () => undefined,
          (error) => error,
        )
      t.match(error, { code: 'NOMAD_PLACEMENT_FAILED' })
      t.match(error?.message, reason)
      t.strictSame(await pool.left(), [])
    }
  })

  await t.test('a job as it was asked for, and whoever asks for another is told', async (t) => {
    const nomad = {
      datacenters: ['dc*'],
      nodePool: 'default',
      constraints: ['${meta.rack} = r1', 'distinct_hosts'],
      priority: 80,
      cpuMhz: 200,
      memoryMb: 300,
      memoryMaxMb: 2_000,
    }
    const under = nomadPool(t, agent, { image })
    await under.backend({ nomad }).grow(1)
    t.equal((await under.running()).length, 1)
    t.match(await readJob(agent.client, under.jobId), {
      Priority: 80,
      Datacenters: ['dc*'],
      TaskGroups: [{ Tasks: [{ Resources: { CPU: 200, MemoryMB: 300 }, Config: { memory_hard_limit: 2_000 } }] }],
    })
    const open = (more: object) =>
      SlotPool.open({ env: 'nomad', pool: under.jobId.replace('slotpool-', ''), image, slots: 2, nomad: { ...agent.connection, ...more } })
    await using same = await open({ priority: 80 })
    t.equal((await (await same.lease('a')).exec('echo hello')).stdout, 'hello\n')
    await t.rejects(open({ priority: 20 }), { code: 'POOL_CONFIG_MISMATCH', details: { option: 'nomad.priority', running: 80, got: 20 } })
  })

  await t.test(
    'where there is room for a part of what is needed, those who wait get that, and are told why there is no more',
    async (t) => {
      const under = nomadPool(t, agent, { image })
      let tell = (_line: string): void => {}
      const told = new Promise<string>((resolve) => {
        tell = resolve
      })
      await using pool = await SlotPool.open({
        ...{ env: 'nomad', pool: under.jobId.replace('slotpool-', ''), image, slots: 1, min: 1, max: 4 },
        nomad: { ...agent.connection, memoryMb: 900 },
        onNotice: tell,
      })
      await pool.lease('a')
      const [first] = await under.running()
      const enough = new AbortController()
      const leases = ['b', 'c', 'd'].map((task) => pool.lease(task, { signal: enough.signal, waitMs: 40_000 }))
      await new Promise<void>((resolve, reject) => {
        let had = 0
        for (const one of leases) one.then(() => ++had === 2 && resolve(), reject)
      })
      t.match(await told, /could not grow: .*memory.*; [123] wait/)
      const running = await under.running()
      t.equal(running.length, 3)
      t.ok(running.some((one) => one.ID === first?.ID))
      t.equal(await under.count(), 3)
      enough.abort()
      t.same((await Promise.allSettled(leases)).map((one) => one.status).sort(), ['fulfilled', 'fulfilled', 'rejected'])
    },
  )
})

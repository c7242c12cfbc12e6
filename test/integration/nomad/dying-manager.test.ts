import t from 'tap'
import { reapLeftovers } from '../../../lib/backend/nomad/reap-leftovers.ts'
import type { SlotPoolOptions } from '../../../lib/config.ts'
import { createVariable, readVariable } from '../../../lib/nomad/variables.ts'
import { builtImage } from '../../fixtures/built-image.ts'
import type { Moment } from '../../fixtures/die-at.ts'
import { dyingManager, type ManagerWork } from '../../fixtures/dying-manager.ts'
import { nomadAgent } from '../../fixtures/nomad-agent.ts'
import { nomadPool } from '../../fixtures/nomad-pool.ts'
import { dockerSkip, nomadSkip } from '../../fixtures/require-service.ts'

const skip = (await nomadSkip()) || (await dockerSkip())

// The whole file; starting agents, images and containers takes its time on a busy machine.
t.setTimeout(300_000)

interface Death {
  moment: Moment
  work?: ManagerWork
  /** An image that there is none of: the growth fails and is taken back, and the manager dies over that. */
  broken?: true
}

const deaths: Record<string, Death> = {
  'the pool has a token and no job': { moment: { after: 'response', matching: '^PUT /v1/var/' } },
  'the job is registered': { moment: { after: 'response', matching: '^PUT /v1/jobs' } },
  'a growth that fails has stopped the job again': { moment: { after: 'response', matching: '^PUT /v1/jobs', nth: 2 }, broken: true },
  'a growth that fails has forgotten the job again': { moment: { after: 'response', matching: '^DELETE /v1/job/' }, broken: true },
  'the job is stopped, to be removed': { moment: { after: 'response', matching: '^DELETE /v1/job/' }, work: 'destroy' },
  'the job is removed, and its token is not': { moment: { after: 'response', matching: '^DELETE /v1/job/', nth: 2 }, work: 'destroy' },
}

t.test('wherever a manager dies, the next one finds what is left', { skip }, async (t) => {
  const image = await builtImage(t)
  const agent = await nomadAgent(t)
  for (const [when, { moment, work = { grow: 1 }, broken }] of Object.entries(deaths)) {
    await t.test(`when ${when}`, async (t) => {
      const test = nomadPool(t, agent, { image })
      const backend = test.backend()
      if (work === 'destroy') await backend.grow(1)
      const options: SlotPoolOptions = {
        ...{ env: 'nomad', pool: test.jobId.slice('slotpool-'.length), image, slots: 2, nomad: agent.connection },
        ...(broken && { image: '127.0.0.1:1/no/such:1' }),
      }
      await dyingManager(options, process.env, work, moment)
      t.match(await backend.grow(1), [{ index: 0, state: 'ready' }])
      t.equal((await test.running()).length, 1)
      await backend.destroy()
      t.same(await test.left(), [])
    })
  }

  await t.test('the token of a pool that nobody opens again', async (t) => {
    const { client } = agent
    const [abandoned, inUse] = [nomadPool(t, agent, { image }), nomadPool(t, agent, { image })]
    await createVariable(client, `nomad/jobs/${abandoned.jobId}`, { token: 'x' })
    await inUse.backend().grow(1)
    const pool = { client, jobId: 'slotpool-none' }
    const { signal } = new AbortController()
    await reapLeftovers(pool, signal)
    t.ok(await readVariable(client, `nomad/jobs/${abandoned.jobId}`), 'its job may be about to come')
    const now = Date.now()
    t.intercept(Date, 'now', { value: () => now + 2 * 3_600_000 })
    await reapLeftovers(pool, signal)
    t.equal(await readVariable(client, `nomad/jobs/${abandoned.jobId}`), null)
    t.ok(await readVariable(client, `nomad/jobs/${inUse.jobId}`))
  })
})

import { totalmem } from 'node:os'
import t from 'tap'
import type { Container } from '../../../lib/backend/backend.ts'
import { removeJob } from '../../../lib/backend/nomad/removal.ts'
import { hasEnded } from '../../../lib/nomad/allocations.ts'
import { readJob, setJobCount } from '../../../lib/nomad/jobs.ts'
import { builtImage } from '../../fixtures/built-image.ts'
import { nomadAgent } from '../../fixtures/nomad-agent.ts'
import { killAllocation } from '../../fixtures/nomad-leftovers.ts'
import { meanwhile } from '../../fixtures/nomad-meanwhile.ts'
import { nomadPool } from '../../fixtures/nomad-pool.ts'
import { dockerSkip, nomadSkip } from '../../fixtures/require-service.ts'

const skip = (await nomadSkip()) || (await dockerSkip())

// The whole file; starting agents, images and containers takes its time on a busy machine.
t.setTimeout(300_000)

/** Two of it do not fit on this machine. */
const mostMemoryMb = Math.floor((totalmem() / 1024 / 1024) * 0.6)

const at = (containers: readonly Container[], index: number): Container => {
  const found = containers.find((one) => one.index === index && one.state !== 'dead')
  if (!found) throw new Error(`there is no container ${index}`)
  return found
}

t.test('containers are removed one by one from a real Nomad', { skip }, async (t) => {
  const image = await builtImage(t)
  const agent = await nomadAgent(t)

  await t.test('the highest with its place in the count, whoever else removes it', async (t) => {
    const pool = nomadPool(t, agent, { image })
    const containers = await pool.backend().grow(3)
    const highest = at(containers, 2)
    await Promise.all([pool.backend().remove(highest), pool.backend().remove(highest), pool.backend().remove(highest)])
    t.equal(await pool.count(), 2)
    t.same(
      (await pool.running()).map((one) => one.ID).sort(),
      containers
        .slice(0, 2)
        .map((one) => one.id)
        .sort(),
    )
  })

  await t.test('another one is replaced by Nomad, in its place', async (t) => {
    const pool = nomadPool(t, agent, { image })
    const containers = await pool.backend().grow(3)
    const middle = at(containers, 1)
    await pool.backend().remove(middle)
    t.equal(await pool.count(), 3)
    const again = await pool.backend().grow(3)
    t.same(
      again.map(({ index, state }) => [index, state]),
      [
        [0, 'ready'],
        [1, 'ready'],
        [2, 'ready'],
      ],
    )
    t.not(at(again, 1).id, middle.id)
    t.same([at(again, 0).id, at(again, 2).id], [at(containers, 0).id, at(containers, 2).id])
  })

  await t.test('those that died above it go with the highest that lives', async (t) => {
    const pool = nomadPool(t, agent, { image })
    const containers = await pool.backend().grow(3)
    const dead = at(containers, 2)
    await killAllocation(dead.id)
    await pool.until((all) => all.some((one) => one.ID === dead.id && hasEnded(one)))
    await pool.backend().remove(at(containers, 1))
    t.equal(await pool.count(), 1)
    t.match(await pool.backend().list(), [{ id: at(containers, 0).id, state: 'ready' }])
    t.equal((await pool.backend().list()).length, 1)
  })

  await t.test('one that died is not put back by the next growth that does not need it', async (t) => {
    const pool = nomadPool(t, agent, { image })
    const containers = await pool.backend().grow(2)
    const dead = at(containers, 1)
    await killAllocation(dead.id)
    await pool.until((all) => all.some((one) => one.ID === dead.id && hasEnded(one)))
    await pool.backend().remove({ ...dead, state: 'dead' })
    t.equal(await pool.count(), 1)
    t.equal((await pool.backend().grow(1)).length, 1)
    t.equal((await pool.running()).length, 1)
  })

  await t.test('what a manager that died had asked for in vain is dropped', async (t) => {
    const pool = nomadPool(t, agent, { image })
    const backend = pool.backend({ nomad: { memoryMb: mostMemoryMb } })
    const [only] = await backend.grow(1)
    const job = await readJob(agent.client, pool.jobId)
    if (job) await setJobCount(agent.client, job, 'sandbox', 5)
    if (only) await backend.remove(only)
    t.equal(await pool.count(), 0)
    t.same(await backend.list(), [])
    t.equal(await backend.shape(), null)
    const [again] = await pool.backend({ slots: 3 }).grow(1)
    t.match(again, { index: 0, state: 'ready' })
    t.match(await backend.shape(), { slots: 3 }, 'and the next begins anew')
  })

  await t.test('a pool that is made again while it is taken down goes, too', async (t) => {
    const pool = nomadPool(t, agent, { image })
    await pool.backend().grow(1)
    const parts = pool.parts()
    let times = 0
    meanwhile(
      parts.client,
      'after',
      ({ method, query }) => method === 'DELETE' && query?.purge === false && times++ === 0,
      () => pool.backend().grow(1),
    )
    await removeJob(parts, AbortSignal.timeout(120_000))
    t.equal(times, 2)
    t.same(await pool.left(), [])
  })

  await t.test('one that is made again and again is left to those who use it, who are spoken of', async (t) => {
    const pool = nomadPool(t, agent, { image })
    await pool.backend().grow(1)
    const parts = pool.parts()
    meanwhile(
      parts.client,
      'after',
      ({ method }) => method === 'DELETE',
      () => pool.backend().grow(1),
    )
    await t.rejects(removeJob(parts, AbortSignal.timeout(120_000)), {
      code: 'NOMAD_CONFLICT',
      message: `another process made job ${pool.jobId} again 3 times while it was being removed: end what uses the pool first`,
    })
    t.equal((await pool.running()).length, 1)
  })

  await t.test('while others grow: neither too many nor too few, round after round', async (t) => {
    const pool = nomadPool(t, agent, { image })
    const [grower, other, remover] = [pool.backend(), pool.backend(), pool.backend()]
    const [first] = await grower.grow(2)
    for (let round = 0; round < 4; round++) {
      const highest = (await remover.list()).filter((one) => one.state !== 'dead').at(-1)
      const [grown, more] = await Promise.all([grower.grow(3), other.grow(2), highest && remover.remove(highest)])
      t.ok(grown.filter((one) => one.state === 'ready').length >= 3 && more.length >= 2, 'who asked has got it')
      t.ok((await pool.running()).length <= 3 && (await pool.count()) <= 3)
      t.equal(at(await remover.list(), 0).id, first?.id, 'the lowest was never touched')
    }
    await grower.grow(3)
    t.equal((await pool.running()).length, 3)
    t.equal(await pool.count(), 3)
  })
})

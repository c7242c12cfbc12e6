import t from 'tap'
import { SlotPool } from '../../lib/pool/slot-pool.ts'
import { builtImage } from '../fixtures/built-image.ts'
import { nomadAgent } from '../fixtures/nomad-agent.ts'
import { containersOf } from '../fixtures/nomad-leftovers.ts'
import { nomadPool } from '../fixtures/nomad-pool.ts'
import { dockerSkip, nomadSkip } from '../fixtures/require-service.ts'
import { allAttempts } from './all-attempts.ts'
import { besideInContainer } from './container.ts'
import { attemptsWithNomad } from './of-the-start.ts'
import { runAttempts, slotsNeeded } from './run-attempts.ts'

t.setTimeout(600_000)

t.test('ways out of a slot: nomad', { skip: (await nomadSkip()) || (await dockerSkip()), timeout: 600_000 }, async (t) => {
  const options = { image: await builtImage(t), slots: slotsNeeded, isolation: 'jail' } as const
  const agent = await nomadAgent(t)
  const { backend: makeBackend, left, running, jobId } = nomadPool(t, agent, options)
  const backend = makeBackend()
  await using pool = await SlotPool.open({ ...options, backend, pool: jobId.slice('slotpool-'.length), max: 1 })
  const [allocation] = await running()
  const [id = ''] = await containersOf(allocation?.ID ?? '')
  // Its port is Nomad's to choose, and is among the server's arguments.
  const beside = await besideInContainer(id, backend, undefined)
  await runAttempts(t, { name: 'nomad', pool, beside, ownContainer: true, controlledWith: 'local' }, await allAttempts(attemptsWithNomad))
  await pool.down()
  t.same(await left(), [], 'nothing of the pool is left')
})

import t from 'tap'
import { SlotPool } from '../../lib/pool/slot-pool.ts'
import { builtImage } from '../fixtures/built-image.ts'
import { dockerPool } from '../fixtures/docker-pool.ts'
import { dockerSkip } from '../fixtures/require-service.ts'
import { allAttempts } from './all-attempts.ts'
import { besideInContainer } from './container.ts'
import { attemptsInContainer } from './of-the-start.ts'
import { runAttempts, slotsNeeded } from './run-attempts.ts'

t.setTimeout(600_000)

t.test('ways out of a slot: docker', { skip: await dockerSkip(), timeout: 600_000 }, async (t) => {
  const options = { image: await builtImage(t), slots: slotsNeeded, isolation: 'jail' } as const
  const { pool: poolName, backend, containerIds } = await dockerPool(t, options)
  await using pool = await SlotPool.open({ ...options, backend, pool: poolName, max: 1 })
  const [id = ''] = await containerIds()
  const beside = await besideInContainer(id, backend)
  await runAttempts(
    t,
    { name: 'docker', pool, beside, ownContainer: true, controlledWith: 'local' },
    await allAttempts(attemptsInContainer),
  )
  await pool.down()
  t.same(await containerIds(), [], 'nothing of the pool is left')
})

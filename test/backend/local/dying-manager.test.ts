import { join } from 'node:path'
import t, { type Test } from 'tap'
import { LocalBackend } from '../../../lib/backend/local/local-backend.ts'
import { loadConfig } from '../../../lib/config.ts'
import type { Moment } from '../../fixtures/die-at.ts'
import { dyingManager, type ManagerWork } from '../../fixtures/dying-manager.ts'
import { destroyLocalPool, localLeft, serversOf, stateHome } from '../../fixtures/local-pool.ts'
import { testName } from '../../fixtures/test-name.ts'

t.setTimeout(240_000)

interface Death {
  moment: Moment
  work?: ManagerWork
}

/** Each step of a start and of an end after which somebody else finds something. */
const deaths: Record<string, Death> = {
  'its server is spawned, without a record': { moment: { after: 'spawn', matching: 'sandbox-server' } },
  'the record of its server is written': { moment: { after: 'rename', matching: 'server\\.json$' } },
  'its server serves': { moment: { after: 'rename', matching: 'server\\.json$', nth: 2 } },
  'one of two servers has a record': { moment: { after: 'rename', matching: '/0/server\\.json$' }, work: { grow: 2 } },
  'one of two servers is removed': { moment: { after: 'rm', matching: '/0$' }, work: 'destroy' },
  'the folder of the pool is removed': { moment: { after: 'rm', matching: '/local/[^/]+$' }, work: 'destroy' },
  // As root: who else runs servers keeps all that they have in the folder of the pool.
  ...(process.geteuid?.() === 0 && { 'only the owner is written': { moment: { after: 'writeFileSync', matching: 'owner\\.json$' } } }),
}

t.test('wherever a manager dies, the next one finds what is left', async (t) => {
  const home = await stateHome(t)
  // Side by side: the lock of a manager that died is taken over after ten seconds.
  await Promise.all(Object.entries(deaths).map(([when, death]) => survives(t, home, when, death)))
})

async function survives(t: Test, home: string, when: string, { moment, work = { grow: 1 } }: Death): Promise<void> {
  const pool = testName()
  destroyLocalPool(t, pool)
  const options = { env: 'local', pool, slots: 1, isolation: 'none' } as const
  const backend = new LocalBackend(loadConfig(options, {}))
  if (work === 'destroy') await backend.grow(2)
  await dyingManager(options, process.env, work, moment)
  const containers = await backend.grow(2)
  t.same(
    containers.map(({ index, state }) => [index, state]),
    [
      [0, 'ready'],
      [1, 'ready'],
    ],
    when,
  )
  t.equal(serversOf(join(home, 'slotpool', 'local', pool)).length, 2, `no server runs beside them, ${when}`)
  await backend.destroy()
  t.same(await localLeft(pool), [], when)
}

import t from 'tap'
import { destroyLocalPool, killServer, localLeft, stateHome } from '../../fixtures/local-pool.ts'
import { testName } from '../../fixtures/test-name.ts'
import { backendContract } from '../contract.ts'

t.setTimeout(600_000)

const levels = process.geteuid?.() === 0 ? (['jail', 'uid', 'none'] as const) : (['jail'] as const)

for (const isolation of levels) {
  await t.test(`isolation ${isolation}`, (t) =>
    backendContract(t, {
      name: 'local',
      mounts: isolation === 'jail',
      ...(isolation === 'jail' ? {} : { containersAs: 'isolation jail' }),
      ...(isolation === 'none' ? { filesAs: 'isolation uid' } : {}),
      makeOptions: async (t, size) => {
        await stateHome(t)
        const pool = testName()
        destroyLocalPool(t, pool)
        return {
          options: { ...size, env: 'local', pool, isolation },
          env: process.env,
          kill: ({ index }) => killServer(pool, index),
          left: () => localLeft(pool),
        }
      },
    }),
  )
}

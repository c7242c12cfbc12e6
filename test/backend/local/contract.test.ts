import t from 'tap'
import { destroyLocalPool, killServer, localLeft, stateHome } from '../../fixtures/local-pool.ts'
import { testName } from '../../fixtures/test-name.ts'
import { backendContract } from '../contract.ts'

t.setTimeout(600_000)

const asRoot = process.geteuid?.() === 0
/** Isolation `none` has of the server what `uid` has. */
const levels = !asRoot
  ? (['jail'] as const)
  : process.env.SLOTPOOL_CONTRACT === 'whole'
    ? (['jail', 'uid', 'none'] as const)
    : (['jail', 'uid'] as const)
/** Set by who runs this file as an ordinary user beside root: his containers come and go as root's do. */
const besideRoot = process.env.SLOTPOOL_BESIDE_ROOT === undefined ? undefined : 'root'

for (const isolation of levels) {
  await t.test(`isolation ${isolation}`, (t) =>
    backendContract(t, {
      name: 'local',
      mounts: isolation === 'jail',
      ...(besideRoot ? { containersAs: besideRoot } : isolation === 'jail' ? {} : { containersAs: 'isolation jail' }),
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

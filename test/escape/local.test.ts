import { join } from 'node:path'
import t from 'tap'
import { readRecord } from '../../lib/backend/local/server-record.ts'
import { readOrMakeToken } from '../../lib/backend/token-file.ts'
import { SlotPool } from '../../lib/pool/slot-pool.ts'
import { poolDir } from '../../lib/state-dir.ts'
import { destroyLocalPool, localLeft, stateHome } from '../fixtures/local-pool.ts'
import { testName } from '../fixtures/test-name.ts'
import { allAttempts } from './all-attempts.ts'
import { attemptsOfOrdinaryUser } from './of-the-start.ts'
import { runAttempts, slotsNeeded } from './run-attempts.ts'
import { runProgram } from './run-program.ts'

t.setTimeout(300_000)

const name = process.geteuid?.() === 0 ? 'local' : 'ordinary-user'

// Where nobody tries all of it as root, an ordinary user does.
const besideRoot = process.env.SLOTPOOL_BESIDE_ROOT !== undefined

t.test(`ways out of a slot: ${name}`, async (t) => {
  await stateHome(t)
  const poolName = testName()
  destroyLocalPool(t, poolName)
  await using pool = await SlotPool.open({ env: 'local', pool: poolName, slots: slotsNeeded, max: 1, isolation: 'jail' })
  const folder = poolDir(poolName, 'local')
  const record = await readRecord(join(folder, '0'))
  if (!record) throw new Error('the pool has no server')
  const { pid, stateDir, socketPath } = record
  const beside = {
    run: (script: string) => runProgram('bash', ['-c', script]),
    server: { pid, stateDir, token: await readOrMakeToken(folder), endpoint: { url: 'http://slotpool', socketPath } },
  }
  await runAttempts(t, { name, pool, beside, ownContainer: false }, await allAttempts(besideRoot ? attemptsOfOrdinaryUser : undefined))
  await pool.down()
  t.same(await localLeft(poolName), [], 'nothing of the pool is left')
})

import { join } from 'node:path'
import t from 'tap'
import { groupsOf } from '../../../chaos/leftovers/control-groups.ts'
import { LocalBackend } from '../../../lib/backend/local/local-backend.ts'
import { readRecord, type ServerRecord } from '../../../lib/backend/local/server-record.ts'
import { loadConfig } from '../../../lib/config.ts'
import type { SlotpoolError } from '../../../lib/errors.ts'
import { SlotPool } from '../../../lib/pool/slot-pool.ts'
import { stateDir } from '../../../lib/state-dir.ts'
import { destroyLocalPool, localLeft, stateHome } from '../../fixtures/local-pool.ts'
import { testName } from '../../fixtures/test-name.ts'

const skip = process.geteuid?.() === 0 ? false : 'local servers have control groups where they are root'

t.test('of a server that was killed nothing is left when its pool is taken down, control groups included', { skip }, async (t) => {
  await stateHome(t)
  const pool = testName()
  destroyLocalPool(t, pool)
  const backend = new LocalBackend(loadConfig({ pool, slots: 1 }, {}))
  await backend.grow(1)
  const server = readRecord(join(stateDir(), 'local', pool, '0')) as ServerRecord
  t.ok((await groupsOf([server])).length > 0, 'it has control groups')
  process.kill(server.pid, 'SIGKILL')
  await backend.destroy()
  t.same(await groupsOf([server]), [])
  t.same(await localLeft(pool), [])
})

t.test('a pool is taken down at once although its server drains for a command that goes on', async (t) => {
  await stateHome(t)
  const name = testName()
  destroyLocalPool(t, name)
  await using pool = await SlotPool.open({ env: 'local', pool: name, slots: 1, min: 1, max: 1, isolation: 'none' })
  const slot = await pool.lease('a')
  let outcome: Promise<unknown> | undefined
  await new Promise<void>((resolve) => {
    outcome = slot.exec('echo started; exec sleep 600.37', { onStdout: () => resolve() }).catch((error: SlotpoolError) => error.code)
  })
  const server = readRecord(join(stateDir(), 'local', name, '0')) as ServerRecord
  process.kill(server.pid, 'SIGTERM')
  while ((await pool.status()).containers[0]?.state !== 'draining') await new Promise((resolve) => setImmediate(resolve))
  await pool.down()
  // It would have drained for twenty seconds, and the command slept for ten minutes.
  t.same(await localLeft(name), [])
  t.equal(await outcome, 'CANCELLED', 'by who took its pool down')
})

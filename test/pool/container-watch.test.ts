import t, { type Test } from 'tap'
import type { Container } from '../../lib/backend/backend.ts'
import { FakeBackend, type FakeOptions } from '../../lib/backend/fake/fake-backend.ts'
import { SlotpoolError } from '../../lib/errors.ts'
import { type OpenOptions, SlotPool } from '../../lib/pool/slot-pool.ts'
import type { Endpoint } from '../../lib/wire/endpoint.ts'

async function fakePool(t: Test, fake: FakeOptions = {}, options: OpenOptions = {}) {
  const backend = new FakeBackend({ slots: 1, ...fake })
  t.teardown(() => backend.destroy())
  const pool = await SlotPool.open({ backend, max: 2, slots: 1, ...options })
  t.teardown(() => pool.close())
  return { backend, pool }
}

/** Hangs until its container goes. */
const hanging: FakeOptions = {
  script: ({ stdout }) => {
    stdout('started')
    return new Promise(() => {})
  },
}

t.test('who runs a command in a container that dies is told, however long the command may run', async (t) => {
  const { backend, pool } = await fakePool(t, hanging)
  const slot = await pool.lease('a')
  const running = slot.exec('hangs', { timeoutMs: 2_000_000_000, onStdout: () => void backend.kill(slot.containerId) })
  await t.rejects(running, { code: 'EXECUTION_OUTCOME_UNKNOWN', failure: 'unknown', retryable: false, message: /killed by the test/ })
  await t.rejects(slot.exec('more'), { code: 'LEASE_LOST', failure: 'lost', message: /which is gone/ })
  await t.rejects(slot.renew(), { code: 'LEASE_LOST' })
  await t.rejects(slot.files.read('f'), { code: 'LEASE_LOST' })
  await slot.release()
  t.match(pool.metrics(), { commands: { unknown: 1, lost: 1, ok: 0 }, leases: { lost: 1, released: 1 }, now: { held: 0 } })
})

t.test('who waits for a slot is told of a container that somebody else made', async (t) => {
  const { backend, pool } = await fakePool(t, {}, { max: 1 })
  await pool.lease('a')
  const waiting = pool.lease('b', { waitMs: 2_000_000_000 })
  const other = await SlotPool.open({ backend, min: 2, max: 2, slots: 1 })
  t.teardown(() => other.close())
  await other.fill()
  t.equal((await waiting).taskId, 'b')
})

t.test('where containers cannot be watched they are listed', async (t) => {
  const { backend, pool } = await fakePool(t, hanging)
  backend.watch = async () => {
    throw new SlotpoolError('NOMAD_FORBIDDEN', 'no events for you')
  }
  const slot = await pool.lease('a')
  const running = slot.exec('hangs', { timeoutMs: 2_000_000_000, onStdout: () => void backend.kill(slot.containerId) })
  await t.rejects(running, { code: 'EXECUTION_OUTCOME_UNKNOWN' })
})

t.test('a container that is served elsewhere than before was started anew', async (t) => {
  const { backend, pool } = await fakePool(t)
  const other = new FakeBackend({ slots: 1 })
  t.teardown(() => other.destroy())
  const slot = await pool.lease('a')
  const [container] = await backend.list()
  const [moved] = await other.grow(1)
  backend.list = async () => [{ ...(container as Container), endpoint: moved?.endpoint as Endpoint }]
  await pool.status()
  await t.rejects(slot.exec('anything'), { code: 'LEASE_LOST', message: /started anew/ })
})

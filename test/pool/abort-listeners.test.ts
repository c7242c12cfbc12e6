import t from 'tap'
import { FakeBackend } from '../../lib/backend/fake/fake-backend.ts'
import { SlotPool } from '../../lib/pool/slot-pool.ts'

t.test('one signal may be that of requests to many containers, and of many leases and commands', async (t) => {
  const warnings: Error[] = []
  const onWarning = (warning: Error): void => void warnings.push(warning)
  process.on('warning', onWarning)
  t.teardown(() => process.off('warning', onWarning))
  const backend = new FakeBackend({ slots: 2 })
  t.teardown(() => backend.destroy())
  const pool = await SlotPool.open({ backend, slots: 2, min: 20, max: 20 })
  t.teardown(() => pool.close())
  await pool.fill()
  const { signal } = new AbortController()
  t.equal((await pool.status(signal)).totals.slots, 40)
  const slots = await Promise.all(Array.from({ length: 40 }, (_, i) => pool.lease(`task-${i}`, { signal })))
  await Promise.all(slots.map((slot) => slot.exec('anything', { signal })))
  await Promise.all(slots.map((slot) => slot.files.write('f', 'x', { signal })))
  await Promise.all(slots.map((slot) => slot.files.read('f', { signal })))
  await t.rejects(pool.lease('one too many', { signal, waitMs: 10 }), { code: 'POOL_FULL' })
  const waiting = Array.from({ length: 20 }, (_, i) => pool.lease(`late-${i}`, { signal }))
  await Promise.all(slots.slice(0, 20).map((slot) => slot.release()))
  await Promise.all(waiting)
  // They are emitted a turn later.
  await new Promise((resolve) => setImmediate(resolve))
  t.same(
    warnings.map((one) => one.message),
    [],
  )
})

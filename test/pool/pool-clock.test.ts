import t, { type Test } from 'tap'
import { FakeBackend } from '../../lib/backend/fake/fake-backend.ts'
import { SlotPool } from '../../lib/pool/slot-pool.ts'
import { MovedClock } from '../fixtures/moved-clock.ts'

/** A full pool of one slot, whose time stands still until it is moved. */
async function fullPool(t: Test) {
  const clock = new MovedClock()
  const backend = new FakeBackend({ slots: 1, clock })
  t.teardown(() => backend.destroy())
  const pool = await SlotPool.open({ backend, clock, slots: 1, max: 1, lifetimeMs: 3_600_000 })
  t.teardown(() => pool.close())
  const slot = await pool.lease('held')
  return { clock, backend, pool, slot }
}

/** What has come of it when whatever goes on without time passing has gone on. */
async function outcome(promise: Promise<unknown>): Promise<unknown> {
  const open = Symbol('open')
  let seen: unknown = open
  void promise.then(
    (value) => {
      seen = value
    },
    (error) => {
      seen = error
    },
  )
  for (let turns = 0; turns < 300 && seen === open; turns++) await new Promise((resolve) => setTimeout(resolve, 1))
  return seen === open ? 'open' : seen
}

t.test('who waits for a slot waits by the clock of the pool', async (t) => {
  const { clock, pool } = await fullPool(t)
  const waiting = pool.lease('late', { waitMs: 3_600_000 })
  t.equal(await outcome(waiting), 'open')
  t.equal(pool.metrics().now.waiting, 1)
  clock.move(3_599_999)
  t.equal(await outcome(waiting), 'open')
  clock.move(1)
  t.match(await outcome(waiting), { code: 'POOL_FULL' })
})

t.test('a container that is silent is waited for by it, too', async (t) => {
  const { clock, backend, pool, slot } = await fullPool(t)
  backend.pause(slot.containerId)
  const waiting = pool.lease('held', { waitMs: 60_000 })
  t.equal(await outcome(waiting), 'open', 'however long that is for others')
  const moved = async (): Promise<unknown> => {
    for (let movedMs = 0; movedMs <= 70_000; movedMs += 1_000) {
      clock.move(1_000)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    return outcome(waiting)
  }
  t.match(await moved(), { code: 'SERVER_UNREACHABLE', details: { silentContainers: [slot.containerId] } })
  backend.resume(slot.containerId)
})

t.test('a slot that nothing renews is forgotten when nobody has asked for it for as long as its lease lives', async (t) => {
  const { clock, pool, slot } = await fullPool(t)
  await slot.release()
  const held = (): number => pool.metrics().now.held
  const first = await pool.lease('a', { heartbeat: false })
  clock.move(3_599_999)
  t.equal(held(), 1)
  t.equal(await pool.lease('a', { heartbeat: false }), first)
  clock.move(3_599_999)
  t.equal(held(), 1, 'it was asked for meanwhile')
  clock.move(1)
  t.equal(held(), 0)
  await pool.lease('b')
  for (let hours = 0; hours < 5; hours++) clock.move(3_600_000 / 2)
  t.equal(held(), 1, 'what is renewed is held')
})

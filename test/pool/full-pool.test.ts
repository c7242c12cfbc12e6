import t, { type Test } from 'tap'
import { FakeBackend } from '../../lib/backend/fake/fake-backend.ts'
import type { Slot } from '../../lib/pool/slot.ts'
import { SlotPool } from '../../lib/pool/slot-pool.ts'
import { MovedClock } from '../fixtures/moved-clock.ts'

const containers = 60

/** A backend with containers of one slot, and its time, which stands still. */
function inMemory(t: Test) {
  const clock = new MovedClock()
  const backend = new FakeBackend({ slots: 1, connections: 'memory', clock })
  t.teardown(() => backend.destroy())
  // What is in memory keeps no process alive.
  const alive = setInterval(() => {}, 1_000)
  t.teardown(() => clearInterval(alive))
  return { clock, backend }
}

/** A pool of sixty containers with a slot each, all leased, and its managers. Their time stands still: none looks after the pool by itself. */
async function fullPool(t: Test, managers: number) {
  const { clock, backend } = inMemory(t)
  const pools: SlotPool[] = []
  for (let i = 0; i < managers; i++) {
    const pool = await SlotPool.open({ backend, clock, slots: 1, min: containers, max: containers, lifetimeMs: 86_400_000 })
    t.teardown(() => pool.close())
    await pool.fill()
    pools.push(pool)
  }
  const held: Slot[] = []
  for (let i = 0; i < containers; i++) held.push(await (pools[0] as SlotPool).lease(`task-${i}`))
  return { clock, backend, pools, held }
}

/** Resolves when nothing goes on any more: no request comes or is answered for a while. */
async function still(backend: FakeBackend): Promise<void> {
  for (let quiet = 0, seen = -1; quiet < 50; quiet++) {
    await new Promise((resolve) => setTimeout(resolve, 1))
    if (backend.traffic.pieces !== seen) quiet = 0
    seen = backend.traffic.pieces
  }
}

t.test('a slot that comes free is had by who waits without every container being asked', async (t) => {
  const { backend, pools, held } = await fullPool(t, 2)
  const waiting = pools.flatMap((pool, at) => Array.from({ length: 3 }, (_, i) => pool.lease(`waits-${at}-${i}`)))
  const served = new Set<string>()
  for (const one of waiting) void one.then((slot) => served.add(slot.taskId))
  await still(backend)
  t.equal(served.size, 0)
  for (let count = 1; count <= waiting.length; count++) {
    const before = backend.traffic.requests
    await held.pop()?.release()
    await still(backend)
    t.equal(served.size, count)
    const requests = backend.traffic.requests - before
    t.ok(requests < containers / 2, `${requests} requests`)
  }
  await Promise.all(waiting)
})

t.test('a lease finds one of few slots that are free without every container being asked each time', async (t) => {
  const { backend, pools, held } = await fullPool(t, 1)
  const [pool] = pools as [SlotPool]
  for (const slot of held.splice(0, 12)) await slot.release()
  await still(backend)
  const before = backend.traffic.requests
  for (let i = 0; i < 12; i++) await pool.lease(`late-${i}`)
  const requests = backend.traffic.requests - before
  // To ask all of them for each lease would be twelve times as many as there are containers.
  t.ok(requests < 4 * containers, `${requests} requests for 12 leases`)
})

t.test('a large pool is looked after the more rarely the larger it is', async (t) => {
  const { clock, backend } = inMemory(t)
  const many = 160
  const pool = await SlotPool.open({ backend, clock, slots: 1, min: many, max: many, lifetimeMs: 86_400_000, scaleDownMs: 300_000 })
  t.teardown(() => pool.close())
  await pool.fill()
  await pool.lease('a')
  await pool.tend()
  // The next look was set before it was known how many there are.
  clock.move(15_000)
  await still(backend)
  const before = backend.traffic.requests
  clock.move(15_999)
  await still(backend)
  t.equal(backend.traffic.requests, before)
  clock.move(1)
  await still(backend)
  t.equal(backend.traffic.requests, before + many)
})

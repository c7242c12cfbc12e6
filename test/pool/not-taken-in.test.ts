import t from 'tap'
import { FakeBackend } from '../../lib/backend/fake/fake-backend.ts'
import { homeHash, homeOf } from '../../lib/pool/home-order.ts'
import { SlotPool } from '../../lib/pool/slot-pool.ts'
import { MovedClock } from '../fixtures/moved-clock.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))

t.test('a container that cannot be taken in while another is silent is not asked again and again for its room', async (t) => {
  const clock = new MovedClock()
  const backend = new FakeBackend({ slots: 1, clock, connections: 'memory' })
  t.teardown(() => backend.destroy())
  const pool = await SlotPool.open({ backend, clock, slots: 1, min: 2, max: 4, lifetimeMs: 3_600_000 })
  t.teardown(() => pool.close())
  await pool.fill()
  const slots = [await pool.lease('a'), await pool.lease('b')]
  const homes = slots.map(({ containerId }) => ({ containerId, hash: homeHash(containerId) }))
  // Whose home is silent may have a slot there, and gets no other.
  const silent = homes.find((one) => one !== homeOf('c', homes))?.containerId ?? ''
  // As a server that is stopped: it is listed as it was, and answers nobody.
  const { list } = backend
  backend.list = async () => (await list.call(backend)).map((one) => (one.id === silent ? { ...one, state: 'ready' } : one))
  backend.pause(silent)
  const waiting = pool.lease('c', { waitMs: 3_600_000 })
  waiting.catch(() => {})
  while ((await list.call(backend)).length < 3) {
    clock.move(1_000)
    for (let turns = 0; turns < 20; turns++) await turn()
  }
  for (let seconds = 0; seconds < 20; seconds++) {
    clock.move(1_000)
    for (let turns = 0; turns < 50; turns++) await turn()
  }
  const before = backend.traffic.requests
  for (let turns = 0; turns < 500; turns++) await turn()
  t.ok(backend.traffic.requests - before < 20, `${backend.traffic.requests - before} requests while time stands still`)
  backend.list = list
  backend.resume(silent)
  let placed = false
  void waiting.then(() => {
    placed = true
  })
  while (!placed) {
    clock.move(1_000)
    for (let turns = 0; turns < 20; turns++) await turn()
  }
  t.not((await waiting).containerId, silent)
})

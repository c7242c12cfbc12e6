import t, { type Test } from 'tap'
import { FakeBackend } from '../../lib/backend/fake/fake-backend.ts'
import { SandboxClient } from '../../lib/client/sandbox-client.ts'
import type { Slot } from '../../lib/pool/slot.ts'
import { type OpenOptions, SlotPool } from '../../lib/pool/slot-pool.ts'
import { MovedClock } from '../fixtures/moved-clock.ts'
import { seenBackend } from '../fixtures/seen-backend.ts'

/** A pool of two slots a container whose time, and whose servers' time, stands still until it is moved. */
async function movedPool(t: Test, options: OpenOptions = {}) {
  const clock = new MovedClock()
  const backend = new FakeBackend({ slots: 2, clock })
  t.teardown(() => backend.destroy())
  const open = new Set<SlotPool>()
  const another = async (more: OpenOptions = {}) => {
    const common = { backend, clock, slots: 2, max: 5, min: 1, scaleDownMs: 60_000, lifetimeMs: 3_600_000 }
    const pool = await SlotPool.open({ ...common, ...options, ...more })
    open.add(pool)
    t.teardown(() => pool.close())
    return pool
  }
  return { clock, open, backend, pool: await another(), another }
}

const live = async (backend: FakeBackend): Promise<number[]> =>
  (await backend.list()).filter((one) => one.state !== 'dead').map((one) => one.index)

/** Lets time pass until it holds, with a look at the containers every few seconds, as the pools do. */
async function until(
  { clock, open }: { clock: MovedClock; open: Set<SlotPool> },
  holds: () => Promise<boolean>,
  withinMs: number,
): Promise<boolean> {
  for (let movedMs = 0; movedMs < withinMs; movedMs += 5_000) {
    clock.move(5_000)
    await looks(clock, Promise.all([...open].map((pool) => pool.tend())))
    if (await holds()) return true
  }
  return false
}

/** Resolves when the looks are over: of a container that is silent each ends when the clock says that it waited long enough. */
async function looks(clock: MovedClock, all: Promise<unknown>): Promise<void> {
  let over = false
  void all.then(() => {
    over = true
  })
  for (let turns = 0; !over; turns++) {
    await new Promise((resolve) => setTimeout(resolve, 1))
    if (turns >= 300) clock.move(3_000)
  }
}

t.test('what was not needed for a while goes, the highest first, and never what has a lease or is below the least', async (t) => {
  const moved = await movedPool(t)
  const { backend, pool } = moved
  const slots = await Promise.all(Array.from({ length: 8 }, (_, i) => pool.lease(`task-${i}`)))
  t.same(await live(backend), [0, 1, 2, 3])
  const containers = await backend.list()
  const kept = slots.find((slot) => slot.containerId === containers[2]?.id)
  await Promise.all(slots.filter((slot) => slot !== kept).map((slot) => slot.release()))
  t.equal(await until(moved, async () => (await live(backend)).length < 4, 45_000), false, 'not at once')
  t.ok(await until(moved, async () => (await live(backend)).join() === '0,1,2', 120_000))
  const { setDraining } = SandboxClient.prototype
  let told = 0
  t.intercept(SandboxClient.prototype, 'setDraining', {
    value: function (this: SandboxClient, ...args: Parameters<typeof setDraining>) {
      told++
      return setDraining.apply(this, args)
    },
  })
  t.equal(await until(moved, async () => (await live(backend)).length < 3, 120_000), false, 'while it has a lease')
  t.ok(told > 0 && told <= 8, `in 24 looks it was told ${told} times that it is drained`)
  t.equal((await kept?.exec('anything'))?.exitCode, 0)
  await kept?.release()
  t.ok(await until(moved, async () => (await live(backend)).join() === '0', 240_000))
  t.equal(await until(moved, async () => (await live(backend)).length < 1, 120_000), false)
  t.match(pool.metrics(), {
    containers: { removed: { idle: 3, worn: 0, silent: 0 } },
    leases: { had: 8, released: 8, lost: 0 },
    now: { held: 0 },
  })
})

t.test('a drained container gives no new lease, and serves again when somebody waits', async (t) => {
  const { backend, pool } = await movedPool(t, { max: 1 })
  const [container] = await backend.list()
  const client = new SandboxClient(container?.endpoint ?? { url: '' }, await backend.token())
  t.teardown(() => client.close())
  await client.setDraining(true, 600_000)
  t.equal((await pool.lease('a')).containerId, container?.id)
  t.equal((await client.load({ withinMs: 0, keep: 0 })).state, 'serving')
})

t.test('what was drained a moment ago serves again before another container is made', async (t) => {
  const { backend, pool } = await movedPool(t)
  // They fill one and have a second made: whether any was drained was asked at this very time.
  const slots = [await pool.lease('a'), await pool.lease('b'), await pool.lease('c')]
  const second = (await backend.list()).find((one) => one.id === slots[2]?.containerId)
  const client = new SandboxClient(second?.endpoint ?? { url: '' }, await backend.token())
  t.teardown(() => client.close())
  await client.setDraining(true, 600_000)
  t.equal((await pool.lease('d')).containerId, second?.id)
  t.same(await live(backend), [0, 1])
})

t.test('who is served before his container is made has none made', async (t) => {
  const { backend, pool } = await movedPool(t)
  const slots = [await pool.lease('a'), await pool.lease('b')]
  const { load } = SandboxClient.prototype
  let tellServed = (): void => {}
  const served = new Promise<void>((resolve) => {
    tellServed = resolve
  })
  let asked = 0
  t.intercept(SandboxClient.prototype, 'load', {
    value: async function (this: SandboxClient, ...args: Parameters<typeof load>) {
      // At first for the one who came, then before the pool is made larger for him.
      if (++asked === 2) {
        await slots[0]?.release()
        await served
      }
      return load.apply(this, args)
    },
  })
  t.equal((await pool.lease('late')).containerId, slots[0]?.containerId)
  tellServed()
  await pool.fill()
  t.same(await live(backend), [0])
  t.equal(asked, 2)
})

t.test('managers of one pool do not send away what another wants kept, nor one the same container twice', async (t) => {
  const moved = await movedPool(t, { min: 3 })
  const { backend, pool, another, open } = moved
  const modest = await another({ min: 1 })
  await pool.lease('a')
  await modest.lease('b')
  t.equal(await until(moved, async () => (await live(backend)).length !== 3, 180_000), false)
  const others = await Promise.all([another(), another()])
  await Promise.all(others.map((one, i) => one.lease(`other-${i}`)))
  await modest.releaseAll()
  for (const one of [pool, ...others]) {
    open.delete(one)
    await one.close()
  }
  t.ok(await until(moved, async () => (await live(backend)).length === 1, 400_000), 'once those who want more are gone')
})

t.test('a container with a slot out of service is replaced once nobody has a slot there', async (t) => {
  const moved = await movedPool(t, { min: 2, max: 2 })
  const { backend, pool } = moved
  await pool.fill()
  const slots = await Promise.all(['a', 'b', 'c', 'd'].map((task) => pool.lease(task)))
  const [first, second] = slots.filter((slot) => slot.containerId === slots[0]?.containerId) as [Slot, Slot]
  const there = async () => (await backend.list()).some((one) => one.id === first.containerId)
  backend.wearOut(first.containerId)
  await first.release()
  t.equal(await until(moved, async () => !(await there()), 60_000), false, 'not while it has a lease')
  t.equal((await second.exec('anything')).exitCode, 0)
  await second.release()
  t.ok(await until(moved, async () => !(await there()), 120_000))
  t.ok(await until(moved, async () => (await live(backend)).length === 2, 120_000), 'another is in its place')
  t.match(pool.metrics(), { containers: { removed: { worn: 1 } } })
})

t.test('a container that gives no answer is asked ever more rarely, and given up after the lifetime of a lease', async (t) => {
  const moved = await movedPool(t, { lifetimeMs: 120_000, max: 2 })
  const { backend, pool } = moved
  const lost = await pool.lease('a', { heartbeat: false })
  backend.pause(lost.containerId)
  t.equal(await until(moved, async () => (await live(backend)).length === 0, 60_000), false)
  t.ok(await until(moved, async () => pool.metrics().containers.removed.silent === 1, 600_000))
  await t.rejects(lost.exec('anything'), { code: 'LEASE_LOST', failure: 'lost', message: /which is gone/ })
  t.not((await pool.lease('a')).leaseId, lost.leaseId, 'its task gets another slot then')
  t.match(pool.metrics(), { containers: { removed: { silent: 1 } }, leases: { lost: 1 }, commands: { lost: 1 } })
})

t.test('a container is not given up before the leases that others have there could have expired', async (t) => {
  const moved = await movedPool(t, { lifetimeMs: 1_800_000, max: 1 })
  const { backend, pool, another } = moved
  const hasty = await another({ lifetimeMs: 1_000 })
  const slot = await pool.lease('a', { heartbeat: false })
  await hasty.tend()
  backend.pause(slot.containerId)
  t.equal(await until(moved, async () => (await live(backend)).length === 0, 400_000), false)
})

t.test('a container that does not go keeps the others from nothing, and is told of once', async (t) => {
  const notices: string[] = []
  const moved = await movedPool(t, { onNotice: (line) => void notices.push(line) })
  const { backend, pool } = moved
  await Promise.all(['a', 'b', 'c', 'd', 'e'].map((task) => pool.lease(task)))
  const [, , last] = await backend.list()
  const { remove } = backend
  backend.remove = (one) => (one.id === last?.id ? new Promise(() => {}) : remove.call(backend, one))
  await pool.releaseAll()
  t.ok(await until(moved, async () => (await live(backend)).join() === '0,2', 600_000))
  t.ok(await until(moved, async () => notices.length > 0, 600_000))
  t.same(
    [...new Set(notices)],
    [`slotpool: pool ${pool.config.pool} could not remove container ${last?.id}: container ${last?.id} did not end within 60 s`],
  )
  t.equal(notices.length, 1)
  t.match(pool.metrics(), { containers: { removed: { idle: 1 } } })
})

t.test('the least that a pool is to have is healed by who uses it', async (t) => {
  const moved = await movedPool(t, { min: 3 })
  const { backend, pool } = moved
  await pool.fill()
  await pool.lease('a')
  const [, second] = await backend.list()
  await backend.kill(second?.id ?? '')
  t.ok(await until(moved, async () => (await live(backend)).length === 3, 60_000))
})

t.test('who looked at the containers before others grew the pool does not grow it again: there is room by then', async (t) => {
  let hold: Promise<void> | undefined
  let lists = 0
  class Holding extends FakeBackend {
    override async list() {
      const found = await super.list()
      // The second to look of those who found the pool full.
      if (hold && ++lists === 2) await hold
      return hold ? super.list() : found
    }
  }
  const backend = new Holding({ slots: 2 })
  t.teardown(() => backend.destroy())
  const pool = await SlotPool.open({ backend, slots: 2, max: 5 })
  t.teardown(() => pool.close())
  await pool.lease('a')
  await pool.lease('b')
  let letGo = (): void => {}
  hold = new Promise((resolve) => {
    letGo = resolve
  })
  const waiting = [pool.lease('c'), pool.lease('d')]
  await Promise.race(waiting)
  letGo()
  await Promise.all(waiting)
  await pool.fill()
  t.same(await live(backend), [0, 1])
})

t.test('a container that refuses this process is not silent: it stays, with the leases of others', async (t) => {
  const moved = await movedPool(t)
  const { backend, pool, another } = moved
  const slot = await pool.lease('a')
  const stranger = await another({ backend: seenBackend(backend, { token: async () => 'B'.repeat(43) }), lifetimeMs: 60_000 })
  await t.rejects(stranger.lease('b'), { code: 'UNAUTHORIZED' })
  t.equal(await until(moved, async () => (await live(backend)).length === 0, 400_000), false)
  t.equal((await slot.exec('anything')).exitCode, 0)
  t.match(stranger.metrics(), { containers: { removed: { silent: 0 } } })
})

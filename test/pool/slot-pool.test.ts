import t, { type Test } from 'tap'
import type { Backend, Container } from '../../lib/backend/backend.ts'
import { FakeBackend, type FakeOptions } from '../../lib/backend/fake/fake-backend.ts'
import { SandboxClient } from '../../lib/client/sandbox-client.ts'
import { SlotpoolError } from '../../lib/errors.ts'
import type { ExecOptions } from '../../lib/pool/exec.ts'
import { homeHash, homeOf } from '../../lib/pool/home-order.ts'
import type { LeaseOptions } from '../../lib/pool/lease-options.ts'
import { type OpenOptions, SlotPool } from '../../lib/pool/slot-pool.ts'
import { seenBackend } from '../fixtures/seen-backend.ts'

async function fakePool(t: Test, fake: FakeOptions = {}, options: OpenOptions = {}) {
  const backend = new FakeBackend({ slots: 2, ...fake })
  t.teardown(() => backend.destroy())
  const pool = await SlotPool.open({ backend, max: 1, ...options })
  t.teardown(() => pool.close())
  return { backend, pool }
}

t.test('who will not wait gets a slot that is there, and learns at once when none is', async (t) => {
  const { pool } = await fakePool(t)
  await pool.lease('a', { waitMs: 0 })
  await pool.lease('b', { waitMs: 0 })
  await pool.lease('a', { waitMs: 0 })
  await t.rejects(pool.lease('c', { waitMs: 0 }), { code: 'POOL_FULL', details: { leased: 2, slots: 2 } })
  for (const waitMs of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, '1' as unknown as number]) {
    await t.rejects(pool.lease('c', { waitMs }), { code: 'CONFIG_INVALID', details: { variable: 'waitMs' } })
  }
})

t.test('who asks for a task that another in this process is getting waits no longer than it said', async (t) => {
  const { pool } = await fakePool(t)
  await Promise.all([pool.lease('a'), pool.lease('b')])
  const patient = pool.lease('c', { waitMs: 60_000 })
  await t.rejects(pool.lease('c', { waitMs: 20 }), { code: 'POOL_FULL' })
  await t.rejects(pool.lease('c', { signal: AbortSignal.abort() }), { code: 'CANCELLED' })
  await pool.release('a')
  t.equal((await patient).taskId, 'c', 'who is patient gets it')
})

t.test('who goes away while the server makes its slot ready leaves no lease', async (t) => {
  const { backend, pool } = await fakePool(t, { slots: 1 })
  const held = await pool.lease('a')
  const [container] = await backend.list()
  const client = new SandboxClient(container?.endpoint ?? { url: '' }, await backend.token())
  t.teardown(() => client.close())
  await held.release()
  const controller = new AbortController()
  const gone = client.lease({ taskId: 'gone', owner: 'me', ttlMs: 600_000 }, controller.signal)
  controller.abort()
  await t.rejects(gone, { code: 'CANCELLED' })
  t.equal((await pool.lease('next')).taskId, 'next')
})

t.test('a pool whose containers cannot be asked is not asked without a pause', async (t) => {
  let looks = 0
  const backend: Backend = {
    name: 'fake',
    token: async () => 'x',
    list: async () => {
      looks++
      return [{ id: 'one', index: 0, node: 'n', state: 'starting', reason: 'it never comes up' }]
    },
    shape: async () => null,
    grow: () => backend.list(),
    remove: async () => {},
    watch: async () => {},
    destroy: async () => {},
    close: async () => {},
  }
  const pool = await SlotPool.open({ backend, max: 1 })
  t.teardown(() => pool.close())
  await t.rejects(pool.lease('a', { waitMs: 300 }), { code: 'POOL_FULL' })
  t.ok(looks < 30, `it looked ${looks} times`)
})

t.test('it grows by what those who wait need, up to its bound', async (t) => {
  const asked: number[] = []
  const backend = new FakeBackend({ slots: 2 })
  t.teardown(() => backend.destroy())
  const { grow } = backend
  backend.grow = (count, signal) => {
    asked.push(count)
    return grow.call(backend, count, signal)
  }
  const pool = await SlotPool.open({ backend, min: 1, max: 4, slots: 2 })
  t.teardown(() => pool.close())
  await Promise.all(Array.from({ length: 8 }, (_, i) => pool.lease(`task-${i}`)))
  t.match(await pool.status(), { totals: { containers: 4, leased: 8, idle: 0 } })
  t.ok(asked.every((count) => count <= 4))
  t.ok(asked.length <= 4, `in ${asked.length} steps`)
})

t.test('an engine that cannot grow says so to who asked', async (t) => {
  const { backend, pool } = await fakePool(t, { slots: 1 }, { max: 2 })
  await pool.lease('a')
  backend.failNextGrow(new SlotpoolError('IMAGE_NOT_FOUND', 'no such image'))
  await t.rejects(pool.lease('b'), { code: 'IMAGE_NOT_FOUND' })
  t.equal((await pool.status()).totals.leased, 1)
})

t.test('one that may be able to later keeps nobody from a slot that comes free, and those who wait are told', async (t) => {
  const notices: string[] = []
  const { backend, pool } = await fakePool(t, { slots: 1 }, { max: 2, onNotice: (line) => notices.push(line) })
  await pool.lease('a')
  const full = new SlotpoolError('NOMAD_PLACEMENT_FAILED', 'no node has 512 MiB', { details: { dimensions: { memory: 1 } } })
  backend.grow = async () => {
    throw full
  }
  await t.rejects(pool.lease('b', { waitMs: 200 }), {
    code: 'POOL_FULL',
    message: /could not grow: no node has 512 MiB/,
    details: { growthFailure: { code: 'NOMAD_PLACEMENT_FAILED', details: { dimensions: { memory: 1 } } } },
    cause: full,
  })
  t.same(notices, ['slotpool: pool default could not grow: no node has 512 MiB; 1 wait for a slot'], 'once')
  const waiting = pool.lease('c')
  await pool.release('a')
  t.equal((await waiting).taskId, 'c')
  t.match(pool.metrics(), { containers: { growthsFailed: 1 }, leases: { had: 2, failed: { lost: 1 } } })
})

t.test('of more than may wait none does', async (t) => {
  const { pool } = await fakePool(t, { slots: 1 }, { maxWaiting: 2 })
  await pool.lease('a')
  const waiting = [pool.lease('b'), pool.lease('c')]
  while (pool.metrics().now.waiting < 2) await new Promise((resolve) => setImmediate(resolve))
  await t.rejects(pool.lease('d'), { code: 'POOL_FULL', retryable: true, details: { waiting: 2, maxWaiting: 2 } })
  t.equal((await pool.lease('a')).taskId, 'a', 'who has a slot need not wait')
  await pool.release('a')
  await waiting[0]
  await pool.release('b')
  t.equal((await waiting[1])?.taskId, 'c')
})

t.test('what is noted down with a lease is seen by all', async (t) => {
  const { pool } = await fakePool(t)
  const slot = await pool.lease('a', { metadata: { run: '7', note: 'ü' } })
  t.same(slot.metadata, { run: '7', note: 'ü' })
  t.same((await pool.lease('a', { metadata: { run: '8' } })).metadata, { run: '7', note: 'ü' }, 'and stays as it was made')
  const slots = (await pool.status()).containers.flatMap((one) => one.slots)
  t.match(
    slots.find((one) => one.task_id === 'a'),
    { metadata: { run: '7', note: 'ü' }, owner: pool.config.owner },
  )
  for (const metadata of [{ 'a b': '' }, { a: 'x'.repeat(257) }, { a: 7 as unknown as string }, 'text' as never]) {
    await t.rejects(pool.lease('b', { metadata }), { code: 'REQUEST_INVALID', message: /^metadata: got / })
  }
})

t.test('what the work throws is not hidden by a release that fails', async (t) => {
  const { backend, pool } = await fakePool(t)
  const mine = new Error('of the work')
  const failing = pool.withSlot('a', async (slot) => {
    await backend.kill(slot.containerId)
    await pool.status()
    throw mine
  })
  await t.rejects(failing, mine)
})

t.test('a heartbeat keeps a lease past its lifetime; without one it expires', async (t) => {
  const { pool } = await fakePool(t, {}, { lifetimeMs: 300 })
  const kept = await pool.lease('kept')
  await pool.lease('lost', { heartbeat: false })
  const taskIds = async () => (await pool.status()).containers.flatMap((one) => one.slots.flatMap((slot) => slot.task_id ?? []))
  while ((await taskIds()).includes('lost')) await new Promise((resolve) => setImmediate(resolve))
  t.same(await taskIds(), ['kept'])
  t.equal((await kept.exec('anything')).exitCode, 0)
})

t.test('a closed pool does nothing more, and its leases live on', async (t) => {
  const { backend, pool } = await fakePool(t)
  await pool.lease('a')
  await pool.close()
  await pool.close()
  const calls: Promise<unknown>[] = [pool.lease('a'), pool.status(), pool.release('a'), pool.releaseAll(), pool.down()]
  for (const call of calls) {
    await t.rejects(call as Promise<void>, { code: 'POOL_CLOSED' })
  }
  const again = await SlotPool.open({ backend })
  t.teardown(() => again.close())
  t.equal((await again.status()).totals.leased, 1)
  t.equal(await again.releaseAll(), 1)
})

t.test('who holds a slot of a pool that was ended learns that it is lost', async (t) => {
  const { pool } = await fakePool(t)
  const held = await pool.lease('a')
  await pool.down()
  await t.rejects(held.exec('true'), { code: 'LEASE_LOST', details: { containerId: held.containerId } })
})

t.test('a task whose container lives but cannot be asked gets no second slot', async (t) => {
  const { backend, pool } = await fakePool(t, { slots: 1 }, { max: 2, slots: 1 })
  await pool.lease('other')
  const mine = await pool.lease('mine')
  await pool.release('other')
  backend.pause(mine.containerId)
  const again = pool.lease('mine', { waitMs: 0 })
  await t.rejects(again, { code: 'SERVER_UNREACHABLE', retryable: true, details: { silentContainers: [mine.containerId] } })
  const homes = (await backend.list()).map(({ id }) => ({ id, hash: homeHash(id) })).sort((a, b) => (a.id < b.id ? -1 : 1))
  const atHome = (silent: boolean) => (i: number) => (homeOf(`task-${i}`, homes)?.id === mine.containerId) === silent
  const some = Array.from({ length: 50 }, (_, i) => i)
  await t.rejects(pool.release(`task-${some.find(atHome(true))}`), { code: 'SERVER_UNREACHABLE' })
  await t.rejects(pool.release(`task-${some.find(atHome(false))}`), { code: 'TASK_NOT_FOUND' }, 'its home answers that it has none')
  const patient = pool.lease('mine')
  backend.resume(mine.containerId)
  t.equal((await patient).leaseId, mine.leaseId, 'it is had again once the container answers')
})

t.test('a backend that takes a silent container for ready changes nothing of that', async (t) => {
  const { backend, pool } = await fakePool(t, { slots: 1 }, { max: 2, slots: 1 })
  await pool.lease('other')
  const mine = await pool.lease('mine')
  await pool.release('other')
  const healthy = await backend.list()
  backend.list = async () => healthy
  backend.pause(mine.containerId)
  await t.rejects(pool.lease('mine', { waitMs: 0 }), { code: 'SERVER_UNREACHABLE', message: new RegExp(mine.containerId) })
})

t.test('a container that is known to be dead holds no task up', async (t) => {
  const { backend, pool } = await fakePool(t, { slots: 1 }, { max: 2, slots: 1 })
  await pool.lease('other')
  const mine = await pool.lease('mine')
  await pool.release('other')
  await backend.kill(mine.containerId)
  t.not((await pool.lease('mine', { waitMs: 0 })).containerId, mine.containerId)
})

/** A backend whose containers start only when the test says so. */
function slowlyGrowing(t: Test) {
  const backend = new FakeBackend({ slots: 1 })
  t.teardown(() => backend.destroy())
  const { grow } = backend
  let start = (): void => {}
  const started = new Promise<void>((resolve) => {
    start = resolve
  })
  const signals: (AbortSignal | undefined)[] = []
  backend.grow = async (count, signal) => {
    signals.push(signal)
    const aborted = new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve(), { once: true }))
    await Promise.race([started, aborted])
    return grow.call(backend, count, signal)
  }
  return { backend, growNow: () => grow.call(backend, 1), start, signals }
}

t.test('a pool grows though nobody waits for so long, and in one growth', async (t) => {
  const { backend, growNow, start, signals } = slowlyGrowing(t)
  await growNow()
  const pool = await SlotPool.open({ backend, max: 2, slots: 1 })
  t.teardown(() => pool.close())
  await pool.lease('a')
  for (const waitMs of [0, 5, 20]) {
    await t.rejects(pool.lease('b', { waitMs }), { code: 'POOL_FULL', message: /growing to 2 containers/, details: { growingTo: 2 } })
  }
  t.equal(signals.length, 1)
  t.notOk(signals[0]?.aborted)
  start()
  t.equal((await pool.lease('b')).taskId, 'b')
  t.equal((await backend.list()).length, 2)
})

t.test('a slot that comes free is had while the pool grows', async (t) => {
  const { backend, growNow } = slowlyGrowing(t)
  await growNow()
  const pool = await SlotPool.open({ backend, max: 2, slots: 1 })
  t.teardown(() => pool.close())
  await pool.lease('a')
  const waiting = pool.lease('b')
  await t.rejects(pool.lease('c', { waitMs: 0 }), { code: 'POOL_FULL' })
  await pool.release('a')
  t.equal((await waiting).taskId, 'b')
})

t.test('closing the pool gives growing up', async (t) => {
  const { backend, growNow, signals } = slowlyGrowing(t)
  await growNow()
  const pool = await SlotPool.open({ backend, max: 2, slots: 1 })
  await pool.lease('a')
  await t.rejects(pool.lease('b', { waitMs: 0 }), { code: 'POOL_FULL' })
  while (signals.length === 0) await new Promise((resolve) => setImmediate(resolve))
  await pool.close()
  t.ok(signals[0]?.aborted)
  t.equal((await backend.list()).length, 1)
})

t.test('opening waits for no other container than the first', async (t) => {
  const { backend, growNow, start, signals } = slowlyGrowing(t)
  await growNow()
  const pool = await SlotPool.open({ backend, min: 2, max: 2, slots: 1 })
  t.teardown(() => pool.close())
  t.equal((await backend.list()).length, 1)
  start()
  await pool.fill()
  t.equal((await backend.list()).length, 2)
  t.equal(signals.length, 1)
  backend.pause((await backend.list())[0]?.id ?? '')
  const again = await SlotPool.open({ backend, min: 2, max: 2, slots: 1 })
  t.teardown(() => again.close())
  t.equal(signals.length, 1, 'a container that does not answer is one of those that live')
})

t.test('a release that failed can be tried again', async (t) => {
  const { pool } = await fakePool(t)
  const slot = await pool.lease('a')
  const { release } = SandboxClient.prototype
  t.teardown(() => {
    SandboxClient.prototype.release = release
  })
  SandboxClient.prototype.release = async () => {
    throw new SlotpoolError('SERVER_UNREACHABLE', 'it did not answer')
  }
  await t.rejects(slot.release(), { code: 'SERVER_UNREACHABLE' })
  await t.rejects(slot.exec('true'), { code: 'LEASE_LOST' })
  SandboxClient.prototype.release = release
  t.equal((await pool.status()).totals.leased, 1)
  await slot.release()
  t.equal((await pool.status()).totals.leased, 0)
})

t.test('of two that work in the slot of one task, the last to end releases it', async (t) => {
  const { pool } = await fakePool(t)
  const leased = async () => (await pool.status()).totals.leased
  let end = (): void => {}
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  const long = pool.withSlot('a', async (slot) => {
    await ended
    return (await slot.exec('still here')).exitCode
  })
  await pool.withSlot('a', () => {})
  await t.rejects(
    pool.withSlot('a', () => Promise.reject(new Error('mine'))),
    { message: 'mine' },
  )
  const controller = new AbortController()
  await pool.withSlot('a', () => controller.abort(), { signal: controller.signal })
  await t.rejects(
    pool.withSlot('a', () => {}, { signal: AbortSignal.abort() }),
    { code: 'CANCELLED' },
  )
  t.equal(await leased(), 1)
  end()
  t.equal(await long, 0)
  t.equal(await leased(), 0)
  await Promise.all(Array.from({ length: 20 }, () => pool.withSlot('a', async (slot) => t.equal((await slot.exec('x')).exitCode, 0))))
  t.equal(await leased(), 0)
})

t.test('who goes away while the answer travels leaves no lease, and harms nobody who shares it', async (t) => {
  for (const shared of [false, true]) {
    const { backend, pool } = await fakePool(t, { slots: 1 })
    const other = await SlotPool.open({ backend, max: 1 })
    t.teardown(() => other.close())
    const { leaseByRoster } = SandboxClient.prototype
    t.teardown(() => {
      SandboxClient.prototype.leaseByRoster = leaseByRoster
    })
    const controller = new AbortController()
    SandboxClient.prototype.leaseByRoster = async function (request, signal) {
      SandboxClient.prototype.leaseByRoster = leaseByRoster
      const answer = await leaseByRoster.call(this, request, signal)
      if (shared) await leaseByRoster.call(this, request)
      controller.abort()
      return answer
    }
    await t.rejects(pool.lease('gone', { signal: controller.signal }), { code: 'CANCELLED' })
    if (shared) {
      await pool.close()
      t.equal((await other.status()).totals.leased, 1)
    } else t.equal((await pool.lease('next')).taskId, 'next')
  }
})

t.test('several who will not wait ask for one task at once, and all have its slot', async (t) => {
  const { pool } = await fakePool(t)
  const slots = await Promise.all([0, 1, 2].map(() => pool.lease('a', { waitMs: 0 })))
  t.equal(new Set(slots.map((slot) => slot.leaseId)).size, 1)
})

t.test('who waits in a pool whose engine stands still is told that the pool was full, not that he gave up', async (t) => {
  const backend = new FakeBackend({ slots: 1 })
  t.teardown(() => backend.destroy())
  let standsStill = false
  let lists = 0
  const list = async (signal?: AbortSignal): Promise<Container[]> => {
    if (!standsStill) return backend.list()
    if (lists++ > 0 || !signal) throw new SlotpoolError('DOCKER_UNAVAILABLE', 'it says nothing')
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    throw new SlotpoolError('CANCELLED', 'docker was told to stop', { cause: signal.reason })
  }
  const pool = await SlotPool.open({ backend: seenBackend(backend, { list, watch: async () => {} }), slots: 1, max: 1 })
  t.teardown(() => pool.close())
  const held = await pool.lease('a')
  const waiting = pool.lease('b', { waitMs: 300 })
  waiting.catch(() => {})
  while (pool.metrics().now.waiting === 0) await new Promise((resolve) => setImmediate(resolve))
  standsStill = true
  await t.rejects(waiting, { code: 'POOL_FULL', message: /could not be found out, 0 more wait/ })
  await held.release()
})

t.test('who waits in line when the pool is closed is told so', async (t) => {
  const { pool } = await fakePool(t, { slots: 1 })
  await pool.lease('a')
  const waiting = pool.lease('b')
  waiting.catch(() => {})
  while (pool.metrics().now.waiting === 0) await new Promise((resolve) => setImmediate(resolve))
  await pool.close()
  await t.rejects(waiting, { code: 'POOL_CLOSED' })
})

t.test('a list that was begun before a container was made, and comes after, says nothing of it', async (t) => {
  const backend = new FakeBackend({ slots: 1 })
  t.teardown(() => backend.destroy())
  let begun = (): void => {}
  const late = new Promise<void>((resolve) => {
    begun = resolve
  })
  let holds = false
  const list = async (): Promise<Container[]> => {
    const found = await backend.list()
    if (holds) {
      holds = false
      await late
    }
    return found
  }
  const pool = await SlotPool.open({ backend: seenBackend(backend, { list, watch: async () => {} }), slots: 1, max: 2 })
  t.teardown(() => pool.close())
  await pool.lease('a')
  holds = true
  const status = pool.status()
  const slot = await pool.lease('b')
  begun()
  await status
  t.equal((await slot.exec('anything')).exitCode, 0)
  t.match(pool.metrics(), { leases: { lost: 0 } })
  await backend.kill(slot.containerId)
  await pool.status()
  await t.rejects(slot.exec('anything'), { code: 'LEASE_LOST' }, 'a later one does')
})

t.test('an option of a command that is none is refused, and nothing is run', async (t) => {
  let runs = 0
  const { pool } = await fakePool(t, {
    script: () => {
      runs++
      return {}
    },
  })
  const slot = await pool.lease('a')
  const exec = (command: unknown, options?: unknown) => slot.exec(command as string, options as ExecOptions)
  await t.rejects(exec(5), { code: 'COMMAND_INVALID', details: { reason: 'type' } })
  for (const env of [{ A: 5 }, { A: undefined }, { A: null }, { A: ['x'] }])
    await t.rejects(exec('x', { env }), { code: 'ENV_INVALID', details: { name: 'A' } })
  for (const env of ['A=5', ['A=5'], null]) await t.rejects(exec('x', { env }), { code: 'ENV_INVALID' })
  for (const [name, value] of Object.entries({ encoding: 'hex', allowEnv: 'ABC', mergeStderr: 1, cwd: 7, timeoutMs: '5' }))
    await t.rejects(exec('x', { [name]: value }), { code: 'CONFIG_INVALID', details: { variable: name, got: value } })
  for (const options of [null, 'x', ['x']])
    await t.rejects(exec('x', options), { code: 'CONFIG_INVALID', details: { variable: 'options' } })
  await t.rejects(exec('x', { timeoutMS: 5 }), { code: 'CONFIG_INVALID', details: { option: 'timeoutMS', nearest: 'timeoutMs' } })
  t.equal(runs, 0)
  const { ok, ...failed } = pool.metrics().commands
  t.same([ok, Object.values(failed).reduce((sum, count) => sum + count, 0)], [0, 17], 'they count')
})

t.test('what is no option of a lease, of a pool, or no content of a file is refused', async (t) => {
  const { pool } = await fakePool(t)
  const unknown = { code: 'CONFIG_INVALID', details: { option: 'wait', nearest: 'waitMs' } }
  await t.rejects(pool.lease('a', { wait: 5 } as LeaseOptions), unknown)
  await t.rejects(
    pool.withSlot('a', () => {}, { wait: 5 } as LeaseOptions),
    unknown,
  )
  t.equal((await pool.status()).totals.leased, 0)
  await t.rejects(SlotPool.open('local' as OpenOptions), { code: 'CONFIG_INVALID', message: "options: got 'local', expected an object" })
  const slot = await pool.lease('a')
  await t.rejects(slot.files.write('f', {} as string), { code: 'REQUEST_INVALID', details: { path: 'content' } })
})

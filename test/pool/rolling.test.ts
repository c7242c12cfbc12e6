import t, { type Test } from 'tap'
import { FakeBackend } from '../../lib/backend/fake/fake-backend.ts'
import { versionId } from '../../lib/backend/pool-version.ts'
import { SlotpoolError } from '../../lib/errors.ts'
import { type OpenOptions, SlotPool } from '../../lib/pool/slot-pool.ts'

async function fakePool(t: Test, options: OpenOptions) {
  const backend = new FakeBackend({ slots: options.slots ?? 1, connections: 'memory' })
  t.teardown(() => backend.destroy())
  const open = async (more: OpenOptions = {}) => {
    const pool = await SlotPool.open({ backend, ...options, ...more })
    t.teardown(() => pool.close())
    return pool
  }
  return { backend, open, pool: await open() }
}

t.test('a pool that is full all the time is changed under those who work in it, and nobody loses anything', async (t) => {
  const { backend, open, pool } = await fakePool(t, { slots: 1, min: 1, max: 2 })
  const before = new Set((await pool.status()).containers.map((one) => one.id))
  let over = false
  let most = 0
  const worker = async (name: string): Promise<number> => {
    let done = 0
    while (!over) {
      await pool.withSlot(`${name}-${done++}`, (slot) => slot.exec('work'))
      most = Math.max(most, backend.usage().containers)
    }
    return done
  }
  const workers = ['a', 'b', 'c', 'd'].map(worker)
  const next = await open({ slots: 2, change: 'roll' })
  await next.finishChange()
  over = true
  for (const done of await Promise.all(workers)) t.ok(done > 0)
  const { containers, totals } = await next.status()
  t.ok(containers.every((one) => !one.earlier && !before.has(one.id)))
  t.equal(totals.slots, containers.length * 2)
  t.ok(most <= 3, `at most one above the most: ${most}`)
  t.match(pool.metrics(), { leases: { lost: 0, failed: { lost: 0 } }, commands: { lost: 0, unknown: 0 } })
  t.ok(next.metrics().containers.removed.changed > 0)
})

t.test('a change whose first container does not start leaves the pool as it was', async (t) => {
  const { backend, open } = await fakePool(t, { slots: 1 })
  const [only] = await backend.list()
  backend.failNextGrow(new SlotpoolError('IMAGE_NOT_FOUND', 'no such image'))
  await t.rejects(open({ slots: 2, change: 'roll' }), { code: 'IMAGE_NOT_FOUND' })
  t.match(await backend.list(), [{ id: only?.id, state: 'ready' }])
  t.match(await backend.shape(), { slots: 1 })
})

t.test('who is overtaken by another change learns of it when that has come to its end', async (t) => {
  const { backend, open } = await fakePool(t, { slots: 1 })
  const first = await open({ slots: 2, change: 'roll' })
  const second = await open({ slots: 3, change: 'roll' })
  await second.finishChange()
  await t.rejects(first.finishChange(), { code: 'POOL_CONFIG_MISMATCH', details: { option: 'slots', running: 3, got: 2 } })
  t.match(await backend.shape(), { slots: 3 })
  t.equal(backend.usage().containers, 1)
})

t.test('where nothing differs nothing is changed, unless it is forced', async (t) => {
  const { backend, open } = await fakePool(t, { slots: 1 })
  const [only] = await backend.list()
  await (await open({ change: 'roll' })).finishChange()
  t.match(await backend.list(), [{ id: only?.id }])
  const forced = await open({ change: 'force' })
  await forced.finishChange()
  const now = await backend.list()
  t.equal(now.length, 1)
  t.not(now[0]?.id, only?.id)
  t.equal(now[0]?.version?.id, only?.version?.id)
})

t.test('what died of an earlier version is not made again, and does not keep the change from its end', async (t) => {
  const { backend, open, pool } = await fakePool(t, { slots: 1, min: 2, max: 2 })
  await pool.fill()
  const [first] = await backend.list()
  const next = await open({ slots: 2, min: 1, change: 'roll' })
  await backend.kill(first?.id ?? '')
  await next.finishChange()
  const containers = await backend.list()
  t.ok(containers.every((one) => one.state === 'ready' && one.version?.generation === 1))
})

t.test('who gives up waiting leaves both versions, and the next goes on', async (t) => {
  const { backend, open, pool } = await fakePool(t, { slots: 1 })
  await pool.lease('holder')
  const next = await open({ slots: 2, change: 'roll' })
  const giveUp = new AbortController()
  const finishing = next.finishChange({ signal: giveUp.signal, onProgress: () => giveUp.abort() })
  await t.rejects(finishing, { code: 'CANCELLED' })
  t.equal(backend.usage().containers, 2)
  await pool.release('holder')
  await (await open({ slots: 2, change: 'roll' })).finishChange()
  t.equal(backend.usage().containers, 1)
})

t.test('a change that is none is refused', async (t) => {
  const backend = new FakeBackend()
  await t.rejects(SlotPool.open({ backend, change: 'at once' as 'roll' }), {
    code: 'CONFIG_INVALID',
    message: /option change: got 'at once'/,
  })
})

t.test('a version is another for each thing that makes a difference, and for nothing else', async (t) => {
  const shape = {
    image: 'i:1',
    slots: 1,
    isolation: 'auto',
    network: 'none',
    limits: {},
    networkAllow: ['10.0.0.1', '10.0.0.2'],
    mounts: [],
  }
  const mount = { host: '/a', target: '/in', readOnly: true, description: null }
  const others = [
    versionId(shape, 'content'),
    versionId(shape, 'other content'),
    ...[{ image: 'i:2' }, { slots: 2 }, { isolation: 'uid' }, { network: 'host' }, { limits: { processes: 9 } }, { networkAllow: [] }].map(
      (one) => versionId({ ...shape, ...one }, 'content'),
    ),
    ...[{ mounts: [mount] }, { maxReuses: 1 }, { drainMs: 1 }, { placement: { priority: 1 } }].map((one) =>
      versionId({ ...shape, ...one }, 'content'),
    ),
  ]
  t.equal(new Set(others).size, others.length)
  for (const id of others) t.match(id, /^[0-9a-f]{8}$/)
  const same = { ...shape, networkAllow: ['10.0.0.2', '10.0.0.1'], drainMs: 0, placement: {} }
  t.equal(versionId(same, 'content'), others[0])
  const described = { ...shape, mounts: [{ ...mount, description: 'of others' }] }
  t.equal(versionId(described, ''), versionId({ ...shape, mounts: [mount] }, ''))
})

t.test('what makes room for a newer version does not serve again for those who wait, where others have taken its place', async (t) => {
  const { backend, open, pool } = await fakePool(t, { slots: 1, min: 1, max: 1 })
  const holder = await pool.lease('holder')
  const next = await open({ change: 'force' })
  await next.tend()
  await pool.lease('other')
  await t.rejects(pool.lease('waits', { waitMs: 50 }), { code: 'POOL_FULL' })
  t.match(
    (await pool.status()).containers.find((one) => one.id === holder.containerId),
    { earlier: true, state: 'draining' },
  )
  t.equal(backend.usage().containers, 2)
})

import type { Test } from 'tap'
import { SandboxClient } from '../../../lib/client/sandbox-client.ts'
import { SlotPool } from '../../../lib/pool/slot-pool.ts'
import { otherProcess } from '../../fixtures/other-process.ts'
import { backendOf } from './pool-under-test.ts'
import type { ContractSubject, PoolPlan } from './subject.ts'

/** Containers: made by several at once, listed, found again, reached with the pool's token alone, and gone in the end. */
export async function containerContract(t: Test, subject: ContractSubject): Promise<void> {
  const plan = await subject.makeOptions(t, { slots: 2, min: 2, max: 2 })
  const backend = await backendOf(t, plan)

  await t.test('a pool that nobody made', async (t) => {
    t.same(await backend.list(), [])
    t.equal(await backend.shape(), null)
    const attached = await SlotPool.attach(plan.options)
    t.teardown(() => attached.close())
    t.match(await attached.status(), { backend: subject.name, isolation: null, totals: { containers: 0, slots: 0, leased: 0, idle: 0 } })
    t.same(await backend.list(), [], 'looking makes none')
  })

  await t.test('opened at once, it has no more containers than were asked for', async (t) => {
    const seen = await Promise.all([containersSeen(t, plan), containersSeen(t, plan)])
    const containers = await backend.list()
    t.same(
      containers.map(({ index, state }) => [index, state]),
      [
        [0, 'ready'],
        [1, 'ready'],
      ],
    )
    t.equal(new Set(containers.map((one) => one.id)).size, 2)
    for (const ids of seen)
      t.same(
        ids,
        containers.map((one) => one.id),
        'everybody sees the same',
      )
    t.same(await backend.grow(1), containers, 'growing to less than there is changes nothing')
    t.match(await backend.shape(), { slots: 2 })
  })

  await t.test('one that asks for another shape is refused', async (t) => {
    await t.rejects(SlotPool.open({ ...plan.options, slots: 3 }), {
      code: 'POOL_CONFIG_MISMATCH',
      details: { option: 'slots', running: 2, got: 3 },
    })
    await t.rejects(SlotPool.open({ ...plan.options, limits: { processes: 50 }, networkAllow: ['10.1.2.3'] }), {
      code: 'POOL_CONFIG_MISMATCH',
      details: { option: 'limits.processes', running: 'its default', got: 50 },
    })
    await t.rejects(SlotPool.open({ ...plan.options, networkAllow: ['10.1.2.3'] }), {
      code: 'POOL_CONFIG_MISMATCH',
      details: { option: 'networkAllow', running: 'none', got: '10.1.2.3' },
    })
  })

  await t.test('mounts that can be none are refused, whatever runs', async (t) => {
    for (const mounts of [[{ host: 'relative', target: '/in' }], [{ host: '/proc', target: '/in' }]]) {
      await t.rejects(SlotPool.open({ ...plan.options, mounts }), { code: 'MOUNT_INVALID', details: { target: '/in' } })
    }
    t.equal((await backend.list()).length, 2)
  })

  await t.test('a wrong token opens nothing', async (t) => {
    const [container] = await backend.list()
    const stranger = new SandboxClient(container?.endpoint ?? { url: '' }, 'x'.repeat(43))
    t.teardown(() => stranger.close())
    t.match(await stranger.health(), { ok: true })
    await t.rejects(stranger.status(), { code: 'UNAUTHORIZED' })
    await t.rejects(stranger.lease({ taskId: 'a', owner: 'stranger', ttlMs: 1000 }), { code: 'UNAUTHORIZED' })
    t.notMatch(await backend.token(), /^x+$/)
  })

  await t.test('who gave up before the growth began has made none', async (t) => {
    await t.rejects(backend.grow(3, AbortSignal.abort()), { code: 'CANCELLED' })
    t.equal((await backend.list()).length, 2)
  })

  await t.test('what is taken down leaves nothing, and can be taken down again', async (t) => {
    await backend.destroy()
    t.same(await plan.left(), [])
    t.same(await backend.list(), [])
    t.equal(await backend.shape(), null)
    await backend.destroy()
    t.same(await plan.left(), [])
  })
}

async function containersSeen(t: Test, plan: PoolPlan): Promise<string[]> {
  if (plan.env) return otherProcess<string[]>(plan.options, plan.env, { list: true })
  const pool = await SlotPool.open(plan.options)
  t.teardown(() => pool.close())
  return (await pool.status()).containers.map((one) => one.id)
}

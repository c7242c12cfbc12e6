import type { Test } from 'tap'
import { SlotPool } from '../../../lib/pool/slot-pool.ts'
import { sleepers } from '../../fixtures/sleepers.ts'
import type { PoolUnderTest } from './pool-under-test.ts'

const sleeper = sleepers()

/** Leases: one slot for a task, whoever asks, and given back however the work ends. */
export async function leaseContract(t: Test, under: PoolUnderTest): Promise<void> {
  const { pool } = under
  const leased = async () => (await pool.status()).totals.leased

  await t.test('the same task has the same slot, from any object and process', async (t) => {
    const slot = await pool.lease('same')
    await slot.exec('echo kept > f')
    const { containerId, slot: number, leaseId } = slot
    t.equal(await pool.lease('same'), slot, 'in one object it is one')
    t.same(await under.leaseElsewhere(t, 'same'), { containerId, slot: number, leaseId })
    const other = await (await under.another(t)).lease('same')
    t.equal((await other.exec('cat f')).stdout, 'kept\n')
    const both = await Promise.all([pool.lease('at-once'), under.another(t).then((one) => one.lease('at-once'))])
    t.equal(both[0].leaseId, both[1].leaseId)
    await pool.release('same')
    await pool.release('at-once')
    t.equal(await leased(), 0)
    await t.rejects(other.exec('cat f'), { code: 'LEASE_LOST' })
  })

  await t.test('what a slot is, its lease and the status of the pool say alike', async (t) => {
    await pool.withSlot('view', async ({ view, workspace, isolation, network }) => {
      t.match({ workspace, isolation, network }, { workspace: view.workspace, isolation: view.isolation, network: view.network })
      const status = await pool.status()
      t.match(status, { isolation: view.isolation, root: view.root, network: view.network })
      t.same(status.limits, view.limits)
      for (const path of [view.workspace, view.home, view.tmp, view.shell, ...view.binFolders]) t.match(path, /^\//)
      t.same(view.mounts, [])
    })
  })

  await t.test('what the next tenant finds is nothing of the last', async (t) => {
    for (let round = 0; round < 4; round++) {
      await pool.withSlot(`tenant-${round}`, async (slot) => {
        t.equal((await slot.exec('cat left-behind')).exitCode, 1)
        t.equal((await slot.exec('echo x > left-behind')).exitCode, 0)
      })
    }
  })

  await t.test('a slot is given back when the work returns, throws or is aborted', async (t) => {
    t.equal(await pool.withSlot('returns', async (slot) => (await slot.exec('exit 7')).exitCode), 7)
    t.equal(await leased(), 0)
    const mine = new Error('of the caller')
    await t.rejects(
      pool.withSlot('throws', () => {
        throw mine
      }),
      mine,
    )
    t.equal(await leased(), 0)
    const controller = new AbortController()
    const aborted = pool.withSlot(
      'aborted',
      (slot) =>
        slot.exec(`echo started; ${sleeper.command(1)}`, {
          onStdout: () => controller.abort(),
        }),
      { signal: controller.signal },
    )
    await t.rejects(aborted, { code: 'CANCELLED' })
    t.equal(await leased(), 0)
    await t.rejects(pool.lease('too-late', { signal: AbortSignal.abort() }), { code: 'CANCELLED' })
    t.equal(await leased(), 0)
  })

  await t.test('releasing', async (t) => {
    await t.rejects(pool.release('never-leased'), { code: 'TASK_NOT_FOUND', details: { taskId: 'never-leased' } })
    const slot = await pool.lease('once')
    await slot.release()
    await slot.release()
    await t.rejects(slot.exec('echo hello'), { code: 'LEASE_LOST' })
    await t.rejects(pool.release('once'), { code: 'TASK_NOT_FOUND' })
    await pool.lease('one')
    await pool.lease('other')
    t.equal(await pool.releaseAll(), 2)
    t.equal(await leased(), 0)
  })

  await t.test('a task of another owner is refused', async (t) => {
    await pool.lease('owned')
    const stranger = await SlotPool.open({ ...under.options, owner: 'somebody-else' })
    t.teardown(() => stranger.close())
    await t.rejects(stranger.lease('owned'), { code: 'LEASE_OWNER_MISMATCH', details: { taskId: 'owned' } })
    await pool.release('owned')
  })

  await t.test('a task id that is none', async (t) => {
    for (const bad of ['', 'a\nb', 'x'.repeat(201), '\ud800']) await t.rejects(pool.lease(bad), { code: 'REQUEST_INVALID' })
  })
}

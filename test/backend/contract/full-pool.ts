import type { Test } from 'tap'
import type { SlotPool } from '../../../lib/pool/slot-pool.ts'
import type { PoolUnderTest } from './pool-under-test.ts'

/** A full pool: who waits is served in order, who waits in vain learns how full it is. */
export async function fullPoolContract(t: Test, { pool }: PoolUnderTest): Promise<void> {
  const first = await pool.lease('first')
  const second = await pool.lease('second')

  await t.test('says how full it is', async (t) => {
    await t.rejects(pool.lease('third', { waitMs: 100 }), {
      code: 'POOL_FULL',
      retryable: true,
      message: /2 of 2 slots are leased in 1 of at most 1 containers/,
      details: { containers: 1, slots: 2, leased: 2, idle: 0, max: 1, waiting: 0 },
    })
  })

  await t.test('a slot that comes free goes to who waited longest', async (t) => {
    const got: string[] = []
    const waiters: Promise<unknown>[] = []
    for (const taskId of ['a', 'b', 'c']) {
      waiters.push(pool.lease(taskId, { waitMs: 60_000 }).then(() => got.push(taskId)))
      await inLine(pool, waiters.length)
    }
    await first.release()
    await waiters[0]
    t.same(got, ['a'])
    await second.release()
    await waiters[1]
    t.same(got, ['a', 'b'])
    await pool.release('a')
    await waiters[2]
    t.same(got, ['a', 'b', 'c'])
    await pool.releaseAll()
  })

  await t.test('who gives up waiting leaves no lease', async (t) => {
    await Promise.all([pool.lease('first'), pool.lease('second')])
    const controller = new AbortController()
    const waiting = pool.lease('gave-up', { signal: controller.signal })
    waiting.catch(() => {})
    await inLine(pool, 1)
    controller.abort()
    await t.rejects(waiting, { code: 'CANCELLED' })
    await pool.releaseAll()
    await pool.withSlot('next', async () => {
      const tasks = (await pool.status()).containers.flatMap((one) => one.slots).map((one) => one.task_id)
      t.same(
        tasks.filter((task) => task !== null),
        ['next'],
      )
    })
  })
}

/** Resolves once so many stand in line, as the error of one who cannot wait tells. */
async function inLine(pool: SlotPool, length: number): Promise<void> {
  for (;;) {
    const refusal = await pool.lease('probe', { waitMs: 20 }).then(
      () => undefined,
      (error) => error,
    )
    if (refusal?.code !== 'POOL_FULL') throw refusal ?? new Error('the pool was not full')
    if (refusal.details.waiting === length) return
  }
}

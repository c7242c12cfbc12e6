import t from 'tap'
import { MovedClock } from '../fixtures/moved-clock.ts'
import { sandboxServer } from '../fixtures/sandbox-server.ts'

t.test('a server says how busy it is, and is drained and retired', async (t) => {
  const clock = new MovedClock()
  const { client, lease, server } = await sandboxServer(t, { script: () => ({}), clock, slots: 3 })
  const { bootId } = server
  while ((await client.idle(60_000)) < 3);
  t.same(await client.load(), {
    bootId,
    state: 'serving',
    slots: 3,
    leased: 0,
    idle: 3,
    outOfService: 0,
    mostLeased: 0,
    keep: 0,
    longestTtlMs: 0,
  })
  const { leaseId } = await lease('a')
  t.match(await client.setDraining(true, 5_000), { bootId, state: 'draining', leased: 1, mostLeased: 1 })
  t.match(await client.status(), { state: 'draining' })
  t.equal(await client.idle(0), 0)
  await t.rejects(lease('b'), { code: 'SLOT_UNAVAILABLE', details: { draining: true } })
  t.equal((await lease('a')).leaseId, leaseId)
  t.match(await client.setDraining(false, 5_000), { state: 'serving' })
  await client.setDraining(true, 5_000)
  clock.move(5_000)
  t.match(await client.load(), { state: 'serving' })
  t.same(await client.retire(), { retired: false, leases: 1 })
  await client.release(leaseId)
  t.match(await client.load({ withinMs: 60_000, keep: 2 }), { leased: 0, mostLeased: 1, keep: 2 })
  t.same(await client.retire(), { retired: true, leases: 0 })
  t.match(await client.load(), { state: 'retired' })
  t.match(await client.setDraining(false, 5_000), { state: 'retired' })
  await t.rejects(lease('a'), { code: 'SLOT_UNAVAILABLE', details: { retired: true } })
})

t.test('bad questions about it are refused', async (t) => {
  const { client } = await sandboxServer(t, { script: () => ({}) })
  for (const withinMs of [-1, 0.5, 3_600_001]) await t.rejects(client.load({ withinMs }), { code: 'REQUEST_INVALID' })
  for (const ttlMs of [0, -1, 0.5, 2_147_483_001]) await t.rejects(client.setDraining(true, ttlMs), { code: 'REQUEST_INVALID' })
  await t.rejects(client.setDraining('true' as unknown as boolean, 1), { code: 'REQUEST_INVALID' })
  t.match(await client.load(), { state: 'serving' })
})

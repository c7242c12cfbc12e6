import { randomUUID } from 'node:crypto'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { ScriptedJails } from '../../lib/backend/fake/scripted-runtime.ts'
import type { HeldLease } from '../../lib/sandbox/held-lease.ts'
import { LeaseTable } from '../../lib/sandbox/lease-table.ts'
import { ownProvenance } from '../../lib/sandbox/provenance.ts'
import { Slots } from '../../lib/sandbox/slots.ts'
import { noLimits } from '../../lib/wire/limits.ts'
import type { CheckedHomeLeaseRequest, Whereabouts } from '../../lib/wire/roster.ts'
import { MovedClock } from '../fixtures/moved-clock.ts'

const log = pino({ enabled: false })

async function table(t: Test, count = 2) {
  const clock = new MovedClock()
  const slots = new Slots({ count, kind: new ScriptedJails(), folder: '/', log })
  await slots.start()
  const ended: string[] = []
  const bootId = randomUUID()
  const leases = new LeaseTable({
    bootId,
    slots,
    terms: { limits: noLimits, mounts: [], provenance: ownProvenance },
    clock,
    log,
    onEnd: (held: HeldLease) => void ended.push(held.taskId),
  })
  t.teardown(async () => {
    await leases.releaseAll('the test is over')
    await slots.close()
  })
  const take = async (taskId: string, extra: { owner?: string; ttlMs?: number; provisional?: boolean } = {}) =>
    (await leases.acquire({ taskId, owner: 'me', ttlMs: 60_000, provisional: false, metadata: {}, ...extra })).lease
  return { bootId, clock, slots, leases, ended, take }
}

t.test('a task has one lease, however many ask at once', async (t) => {
  const { leases } = await table(t, 3)
  const request = { taskId: 'a', owner: 'me', ttlMs: 1000, provisional: false, metadata: {} }
  const all = await Promise.all(Array.from({ length: 10 }, () => leases.acquire(request)))
  t.equal(new Set(all.map((one) => one.lease.leaseId)).size, 1)
  t.equal(all.filter((one) => one.created).length, 1)
  t.equal(leases.size, 1)
  await t.rejects(leases.acquire({ ...request, owner: 'you' }), { code: 'LEASE_OWNER_MISMATCH', details: { taskId: 'a', owner: 'me' } })
})

t.test('when every slot is leased, the next is told so at once', async (t) => {
  const { take } = await table(t, 3)
  const asked = await Promise.allSettled(Array.from({ length: 10 }, (_, i) => take(`task-${i}`)))
  t.equal(asked.filter((one) => one.status === 'fulfilled').length, 3)
  for (const one of asked) if (one.status === 'rejected') t.match(one.reason, { code: 'SLOT_UNAVAILABLE', cause: undefined })
})

t.test('a lease ends when it was not used for its lifetime', async (t) => {
  const { clock, leases, ended, take } = await table(t)
  const { leaseId } = await take('a', { ttlMs: 60_000 })
  clock.move(59_999)
  t.equal(leases.get(leaseId).taskId, 'a')
  clock.move(1)
  t.same(ended, ['a'])
  t.throws(() => leases.get(leaseId), { code: 'LEASE_LOST', message: /it was not used for 60 s/ })
  t.equal((await take('a')).leaseId === leaseId, false, 'its task gets a new one')
})

t.test('use, renewing and asking again keep it', async (t) => {
  const { clock, leases, ended, take } = await table(t)
  const held = await take('a', { ttlMs: 60_000 })
  clock.move(50_000)
  leases.renew(held.leaseId, 60_000)
  clock.move(50_000)
  await take('a', { ttlMs: 60_000 })
  clock.move(50_000)
  leases.touch(held)
  clock.move(50_000)
  let finish = (): void => {}
  const work = leases.use(held, () => new Promise<void>((resolve) => (finish = resolve)))
  clock.move(10 * 60_000)
  t.same(ended, [], 'work under way keeps it however long it takes')
  finish()
  await work
  clock.move(59_999)
  t.same(ended, [])
  clock.move(60_000)
  t.same(ended, ['a'])
})

t.test('looking is no use', async (t) => {
  const { clock, leases, ended, take } = await table(t)
  const { leaseId } = await take('a', { ttlMs: 10_000 })
  clock.move(9_000)
  leases.get(leaseId)
  leases.ofTask('a')
  clock.move(1_000)
  t.same(ended, ['a'])
})

t.test('a lifetime made shorter counts, at the latest ten seconds after', async (t) => {
  const { clock, leases, ended, take } = await table(t)
  const { leaseId } = await take('a', { ttlMs: 600_000 })
  leases.renew(leaseId, 1_000)
  clock.move(11_000)
  t.same(ended, ['a'])
})

t.test('a provisional lease ends within ten seconds unless it is confirmed', async (t) => {
  const { clock, leases, ended, take } = await table(t)
  const forgotten = await take('forgotten', { provisional: true })
  const confirmed = await take('confirmed', { provisional: true })
  leases.confirm(confirmed.leaseId)
  clock.move(10_000)
  t.same(ended, ['forgotten'])
  t.throws(() => leases.confirm(forgotten.leaseId), { code: 'LEASE_LOST', message: /nobody confirmed it/ })
  t.equal(leases.get(confirmed.leaseId).provisional, false)
})

t.test('who gives way ends only what nobody confirmed', async (t) => {
  const { leases, take } = await table(t)
  const held = await take('a', { provisional: true })
  t.equal(await take('a', { provisional: true }), held, 'two managers share it')
  leases.confirm(held.leaseId)
  await t.rejects(leases.releaseProvisional(held.leaseId), { code: 'LEASE_CONTENDED' })
  t.equal(leases.get(held.leaseId), held)
  const other = await take('b', { provisional: true })
  await leases.releaseProvisional(other.leaseId)
  t.throws(() => leases.get(other.leaseId), { code: 'LEASE_LOST' })
})

t.test('one who did not ask for a provisional lease gets none', async (t) => {
  const { take } = await table(t)
  t.equal((await take('a', { provisional: true })).provisional, true)
  t.equal((await take('a')).provisional, false)
})

t.test('an ended lease is remembered, an unknown one is told apart', async (t) => {
  const { bootId, leases, take } = await table(t)
  const { leaseId } = await take('a')
  t.equal(leaseId, `${bootId}-1`)
  await Promise.all([leases.release(leaseId), leases.release(leaseId)].map((one) => one.catch(() => {})))
  t.throws(() => leases.get(leaseId), { code: 'LEASE_LOST', message: /it was released/ })
  for (const never of ['never', `${bootId}-2`, `${bootId}-0`, `${bootId}-01`, `${bootId}-`, bootId]) {
    t.throws(() => leases.get(never), { code: 'LEASE_NOT_FOUND' }, never)
  }
  const ofAnother = `${randomUUID()}-1`
  t.throws(() => leases.get(ofAnother), { code: 'LEASE_LOST', message: /started anew since/, details: { leaseId: ofAnother } })
  await t.rejects(leases.release(leaseId), { code: 'LEASE_LOST' })
})

t.test('one that ended so long ago that it is forgotten how is still no one that never was', async (t) => {
  const { bootId, leases, take } = await table(t, 1)
  for (let i = 0; i <= 10_000; i++) await leases.release((await take('a')).leaseId)
  t.throws(() => leases.get(`${bootId}-1`), { code: 'LEASE_LOST', message: /so long ago/ })
  t.throws(() => leases.get(`${bootId}-2`), { code: 'LEASE_LOST', message: /it was released/ })
})

t.test('a lease that nobody waited for is given up, unless another shares it', async (t) => {
  const { leases, take } = await table(t)
  const held = await take('a')
  await leases.abandon(held)
  t.equal(leases.ofTask('a'), undefined)
  const shared = await take('b')
  await take('b')
  await leases.abandon(shared)
  t.equal(leases.ofTask('b'), shared)
})

t.test('its slot serves the next once it is back, and after the end nobody gets one', async (t) => {
  const { leases, take } = await table(t, 1)
  const seen = new Set<unknown>()
  for (let i = 0; i < 20; i++) {
    const held = await take(`task-${i}`)
    t.equal(held.slot.number, 0)
    seen.add(held.slot.jail)
    await leases.release(held.leaseId)
  }
  t.equal(seen.size, 20, 'each time with a new jail')
  const { leaseId } = await take('last')
  await leases.releaseAll('it was shut down')
  t.throws(() => leases.get(leaseId), { code: 'LEASE_LOST', message: /it was shut down/ })
  await t.rejects(take('too-late'), { code: 'SLOT_UNAVAILABLE' })
})

t.test('a jail that ends by itself takes its lease with it', async (t) => {
  const { leases, ended, take } = await table(t)
  const held = await take('a')
  await held.slot.jail.end()
  await new Promise((resolve) => setImmediate(resolve))
  t.same(ended, ['a'])
  t.throws(() => leases.get(held.leaseId), { code: 'LEASE_LOST', message: /its jail ended unexpectedly/ })
})

/** A table whose roster is open, and requests by it. */
async function home(t: Test, count = 2) {
  const made = await table(t, count)
  const { leases } = made
  const rosterOf = (number: number) => {
    const replaces = leases.roster.current?.id ?? null
    return { id: `roster-${number}`, number, added: replaces === null ? ['here', 'there'] : [], gone: [], replaces }
  }
  const change = (number: number, whereabouts: Whereabouts[] = []) => {
    const standing = leases.propose(rosterOf(number))
    leases.roster.open({ id: `roster-${number}`, whereabouts })
    return standing
  }
  change(1)
  const request = (taskId: string, extra: Partial<CheckedHomeLeaseRequest> = {}): CheckedHomeLeaseRequest => ({
    ...{ taskId, owner: 'me', ttlMs: 60_000, provisional: false, metadata: {}, roster: 'roster-1' },
    ...extra,
  })
  const elsewhere = (taskId: string, leaseId = `lease-of-${taskId}`): Whereabouts => ({
    taskId,
    leaseId,
    owner: 'me',
    containerId: 'there',
  })
  return { ...made, rosterOf, change, request, elsewhere }
}

t.test('a home knows where its tasks are', async (t) => {
  const { leases, request, elsewhere } = await home(t)
  const { lease } = await leases.acquireByRoster(request('mine'))
  t.match(await leases.note({ ...elsewhere('mine'), roster: 'roster-1' }), { lease }, 'a task that has its lease here is nowhere else')
  t.match(leases.lookUp('other', 'roster-1'), { lease: undefined, elsewhere: undefined })
  t.match(await leases.note({ ...elsewhere('other'), roster: 'roster-1' }), { elsewhere: undefined })
  t.match(await leases.note({ ...elsewhere('other'), roster: 'roster-1' }), { elsewhere: undefined }, 'noting it again changes nothing')
  const second = { ...elsewhere('other', 'second'), roster: 'roster-1' }
  t.match(await leases.note(second), { elsewhere: { leaseId: 'lease-of-other' } }, 'the first one noted stands')
  t.match(await leases.acquireByRoster(request('other')), { elsewhere: { containerId: 'there', leaseId: 'lease-of-other' } })
  t.match(leases.lookUp('other', 'roster-1'), { elsewhere: { leaseId: 'lease-of-other' } })
  leases.roster.forget('other', 'second')
  t.match(await leases.acquireByRoster(request('other', { gone: 'second' })), { elsewhere: { leaseId: 'lease-of-other' } })
  t.match(await leases.note({ ...second, gone: 'lease-of-other' }), { elsewhere: undefined }, 'unless it is known to have ended')
  t.match(await leases.acquireByRoster(request('other', { gone: 'second' })), { created: true })
  await t.rejects(leases.acquireByRoster(request('mine', { owner: 'you' })), { code: 'LEASE_OWNER_MISMATCH' })
})

t.test('what was asked for by another roster than the one in force is refused, but for leases that stand', async (t) => {
  const { leases, rosterOf, request, elsewhere } = await home(t)
  const { lease } = await leases.acquireByRoster(request('standing'))
  await leases.note({ ...elsewhere('noted'), roster: 'roster-1' })
  t.match(leases.propose(rosterOf(2)), [{ taskId: 'standing' }])
  for (const roster of ['roster-1', 'roster-2', 'roster-3']) {
    await t.rejects(leases.acquireByRoster(request('new', { roster })), { code: 'ROSTER_CHANGED' })
    await t.rejects(leases.acquireByRoster(request('new', { roster, provisional: true })), { code: 'ROSTER_CHANGED' })
    await t.rejects(leases.note({ ...elsewhere('new'), roster }), { code: 'ROSTER_CHANGED' })
    t.throws(() => leases.lookUp('new', roster), { code: 'ROSTER_CHANGED' })
    t.match(await leases.acquireByRoster(request('standing', { roster })), { lease, created: false })
    t.match(await leases.acquireByRoster(request('noted', { roster })), { elsewhere: { leaseId: 'lease-of-noted' } })
  }
  leases.roster.open({ id: 'roster-2', whereabouts: [] })
  t.match(
    await leases.acquireByRoster(request('noted', { roster: 'roster-2' })),
    { created: true },
    'the notes are those it was opened with',
  )
})

t.test('no lease comes to stand by a roster that is no longer in force', async (t) => {
  const { leases, rosterOf, change, request, slots } = await home(t)
  const provisional = await leases.acquireByRoster(request('provisional', { provisional: true }))
  const { take } = slots
  slots.take = async () => {
    const slot = await take.call(slots)
    t.match(change(2), [], 'neither stands')
    return slot
  }
  await t.rejects(leases.acquireByRoster(request('on-its-way')), { code: 'ROSTER_CHANGED' })
  slots.take = take
  t.throws(() => leases.confirm(provisional.lease?.leaseId ?? ''), { code: 'LEASE_LOST', message: /containers of the pool changed/ })
  t.same(leases.all(), [])
  const asked = leases.acquireByRoster(request('next', { roster: 'roster-2', provisional: true }))
  t.match(await asked, { created: true }, 'the slots are there again')
  await t.rejects(leases.acquireByRoster(request('next')), { code: 'ROSTER_CHANGED' }, 'nor does one because its task is asked for')
  t.equal(leases.ofTask('next')?.provisional, true)
  for (const number of [1, 2]) t.throws(() => leases.propose(rosterOf(number)), { code: 'ROSTER_CHANGED' })
})

t.test('a task whose lease is being made at home is noted down nowhere else', async (t) => {
  const { leases, request, elsewhere } = await home(t)
  const making = leases.acquireByRoster(request('a'))
  const noting = leases.note({ ...elsewhere('a'), roster: 'roster-1' })
  const { lease } = await making
  t.match(await noting, { lease })
  t.match(leases.lookUp('a', 'roster-1'), { lease })
})

t.test('while it is drained there is no new lease, and those that stand go on', async (t) => {
  const { clock, leases, take } = await table(t)
  const held = await take('standing')
  leases.drain(60_000)
  t.equal(leases.state, 'draining')
  await t.rejects(take('new'), { code: 'SLOT_UNAVAILABLE', details: { draining: true } })
  t.equal(await take('standing'), held, 'a task that has one gets it')
  t.equal(leases.renew(held.leaseId, 600_000), held)
  t.equal(await leases.whenIdle(0, AbortSignal.timeout(60_000)), 0, 'what is idle is to be had by nobody')
  clock.move(59_999)
  leases.drain(60_000)
  clock.move(59_999)
  t.equal(leases.state, 'draining', 'it was said anew')
  const waiting = leases.whenIdle(60_000, new AbortController().signal)
  clock.move(1)
  t.equal(leases.state, 'serving', 'whoever said it may have died')
  t.equal(await waiting, 1)
  t.equal((await take('new')).taskId, 'new')
  leases.drain(1)
  leases.undrain()
  t.equal(leases.state, 'serving')
  await leases.drainForGood(60_000)
  leases.undrain()
  t.equal(leases.state, 'draining', 'a server that is about to end is not talked out of it')
  await leases.release(held.leaseId)
  await t.rejects(take('third'), { code: 'SLOT_UNAVAILABLE', details: { draining: true } })
})

t.test('one that has a lease, or is making or ending one, does not retire', async (t) => {
  const { leases, take, slots } = await table(t)
  const making = take('a')
  t.same(leases.retire(), { retired: false, leases: 1 })
  const { leaseId, slot } = await making
  t.same(leases.retire(), { retired: false, leases: 1 })
  let letGo = (): void => {}
  const hold = new Promise<void>((resolve) => (letGo = resolve))
  const { end } = slot.jail
  slot.jail.end = () => hold.then(end)
  const ending = leases.release(leaseId)
  t.same(leases.retire(), { retired: false, leases: 1 })
  t.equal(leases.state, 'serving', 'nothing has changed')
  letGo()
  await ending
  const provisional = await take('b', { provisional: true })
  t.same(leases.retire(), { retired: false, leases: 1 })
  await leases.releaseProvisional(provisional.leaseId)
  const { take: takeSlot } = slots
  slots.take = async () => {
    throw new Error('a retired one takes no slot')
  }
  t.same(leases.retire(), { retired: true, leases: 0 })
  t.same(leases.retire(), { retired: true, leases: 0 }, 'saying it again changes nothing')
  leases.drain(1_000)
  leases.undrain()
  t.equal(leases.state, 'retired', 'for good')
  await t.rejects(take('c'), { code: 'SLOT_UNAVAILABLE', details: { draining: true, retired: true } })
  slots.take = takeSlot
})

t.test('the load says how many slots are leased, and were', async (t) => {
  const { clock, leases, take } = await table(t, 3)
  t.same(leases.load(0), { state: 'serving', slots: 3, leased: 0, idle: 3, outOfService: 0, mostLeased: 0, longestTtlMs: 0 })
  const making = [take('a'), take('b')]
  t.match(leases.load(0), { leased: 2, mostLeased: 2 }, 'those that are being made count')
  const [first, second] = await Promise.all(making)
  t.match(leases.load(60_000), { leased: 2, idle: 1, mostLeased: 2 }, 'and once only')
  const third = await take('c')
  await t.rejects(take('d'), { code: 'SLOT_UNAVAILABLE' })
  t.match(leases.load(60_000), { leased: 3, mostLeased: 3 }, 'who gets none does not count')
  await leases.release(third.leaseId)
  await leases.release(first?.leaseId as string)
  await leases.release(second?.leaseId as string)
  t.match(leases.load(0), { leased: 0, mostLeased: 0 })
  t.match(leases.load(60_000), { leased: 0, mostLeased: 3 })
  clock.move(62_000)
  t.match(leases.load(60_000), { mostLeased: 0 })
})

t.test('a home that is drained is as one that is full: its notes, and the leases of its tasks, are told', async (t) => {
  const { leases, request, elsewhere } = await home(t)
  const { lease } = await leases.acquireByRoster(request('here'))
  await leases.note({ ...elsewhere('there'), roster: 'roster-1' })
  leases.drain(60_000)
  t.match(await leases.acquireByRoster(request('here')), { lease, created: false })
  t.match(await leases.acquireByRoster(request('there')), { elsewhere: { leaseId: 'lease-of-there' } })
  for (const provisional of [false, true]) {
    await t.rejects(leases.acquireByRoster(request('new', { provisional })), { code: 'SLOT_UNAVAILABLE', details: { draining: true } })
  }
  t.match(await leases.note({ ...elsewhere('new'), roster: 'roster-1' }), { elsewhere: undefined }, 'it takes note of where it went')
  t.match(await leases.acquireByRoster(request('new')), { elsewhere: { leaseId: 'lease-of-new' } })
  await t.rejects(leases.acquireByRoster(request('x', { roster: 'other' })), { code: 'ROSTER_CHANGED' }, 'by its own roster alone')
})

t.test('a lease has the metadata of whoever made it', async (t) => {
  const { leases, request: byRoster } = await home(t, 3)
  const request = { taskId: 'a', owner: 'me', ttlMs: 1000, provisional: false, metadata: { run: '7' } }
  const { lease } = await leases.acquire(request)
  t.same(lease.describe('boot').metadata, { run: '7' })
  await leases.acquire({ ...request, metadata: { run: '8' } })
  t.same(lease.describe('boot').metadata, { run: '7' }, 'who joins it changes nothing')
  const { lease: other } = await leases.acquireByRoster(byRoster('b', { metadata: { of: 'b' } }))
  t.same(other?.describe('boot').metadata, { of: 'b' })
})

import t, { type Test } from 'tap'
import { FakeBackend } from '../../lib/backend/fake/fake-backend.ts'
import { SandboxClient } from '../../lib/client/sandbox-client.ts'
import { type AgreedRoster, agreeOnRoster, type Member } from '../../lib/pool/agree-on-roster.ts'
import { Containers } from '../../lib/pool/containers.ts'
import { homeOrder } from '../../lib/pool/home-order.ts'
import { LeaseByRoster, RosterDoubted } from '../../lib/pool/lease-by-roster.ts'
import { SlotPool } from '../../lib/pool/slot-pool.ts'

t.setTimeout(120_000)

const signal = new AbortController().signal

/** A pool of containers with one slot each, where task `a` finds them in a known order, its home first. */
async function pool(t: Test, count: number, slots = 1) {
  const backend = new FakeBackend({ slots })
  t.teardown(() => backend.destroy())
  await backend.grow(count)
  const containers = new Containers(backend)
  t.teardown(() => containers.close())
  const roster = (await agreeOnRoster(containers, signal)).roster as AgreedRoster
  const order = homeOrder('a', roster.members)
  const clientOf = (member: Member | undefined): SandboxClient => (member as Required<Member>).at?.client as SandboxClient
  const block = async (member: Member | undefined) => {
    const { lease } = await clientOf(member).lease({ taskId: `blocks ${member?.id}`, owner: 'other', ttlMs: 60_000 })
    return () => clientOf(member).release(lease.leaseId)
  }
  const later: Promise<void>[] = []
  const way = (owner = 'me', by = roster, until = signal) =>
    new LeaseByRoster(by, { taskId: 'a', owner, lifetimeMs: 60_000, metadata: {} }, until)
  const take = (owner?: string, until?: AbortSignal) => way(owner, roster, until).take((work) => void later.push(work))
  return { backend, containers, roster, order, clientOf, block, way, take, later }
}

/** Notes the requests of one client by the names of its methods. */
function watchRequests(client: SandboxClient): string[] {
  const seen: string[] = []
  for (const name of Object.getOwnPropertyNames(SandboxClient.prototype) as (keyof SandboxClient)[]) {
    const method = client[name]
    if (name === 'close' || typeof method !== 'function') continue
    Object.assign(client, {
      [name]: (...args: unknown[]) => {
        seen.push(name)
        return (method as (...args: unknown[]) => unknown).apply(client, args)
      },
    })
  }
  return seen
}

t.test('a lease is one request to one container, in a pool of however many', async (t) => {
  const { order, clientOf, take } = await pool(t, 12)
  const seen = order.map((member) => watchRequests(clientOf(member)))
  const first = await take()
  t.equal(first?.at.container.id, order[0]?.id)
  t.equal((await take())?.lease.leaseId, first?.lease.leaseId, 'which it keeps')
  t.same(seen, [['leaseByRoster', 'leaseByRoster'], ...Array.from({ length: 11 }, () => [])])
})

t.test('a task whose home is full gets a slot elsewhere, and is found by its home', async (t) => {
  const { order, clientOf, block, take, way } = await pool(t, 3)
  const free = await block(order[0])
  const placed = await take()
  t.equal(placed?.at.container.id, order[1]?.id)
  t.equal(placed?.lease.provisional, false)
  await free()
  for (const again of [await take(), await way().find(), await way().locate()]) {
    t.equal(again?.lease.leaseId, placed?.lease.leaseId, 'though its home has room by now')
  }
  await t.rejects(take('you'), { code: 'LEASE_OWNER_MISMATCH', details: { taskId: 'a', owner: 'me' } })
  await t.rejects(way('you').find(), { code: 'LEASE_OWNER_MISMATCH' })
  await clientOf(order[1]).release(placed?.lease.leaseId ?? '')
  t.equal(await way().locate(), undefined, 'what its home has noted and is no more is forgotten')
  t.equal((await take('you'))?.at.container.id, order[0]?.id)
})

t.test('a note of a lease that has ended keeps nobody from a new one', async (t) => {
  const { order, clientOf, block, take } = await pool(t, 3)
  await block(order[0])
  const first = await take()
  await clientOf(order[1]).release(first?.lease.leaseId ?? '')
  const second = await take('you')
  t.equal(second?.at.container.id, order[1]?.id)
  t.not(second?.lease.leaseId, first?.lease.leaseId)
})

t.test('where all are full there is none', async (t) => {
  const { order, block, take } = await pool(t, 12)
  const free = await Promise.all(order.map(block))
  t.equal(await take(), undefined)
  await free[11]?.()
  t.equal((await take())?.at.container.id, order[11]?.id, 'and the last is as good as the first')
})

t.test('a manager that dies between two steps leaves what the next one goes on with', async (t) => {
  for (const [step, expected] of [
    ['noteWhereabouts', 'another'],
    ['confirm', 'the same'],
  ] as const) {
    const { order, clientOf, block, take, later } = await pool(t, 3)
    await block(order[0])
    // Dead, so that it does not tidy up after itself.
    const dying = step === 'noteWhereabouts' ? clientOf(order[0]) : clientOf(order[1])
    const alive = dying[step]
    const { releaseProvisional } = SandboxClient.prototype
    SandboxClient.prototype.releaseProvisional = async () => {}
    dying[step] = async () => {
      throw new Error('it died')
    }
    await t.rejects(take(), { message: 'it died' })
    await Promise.all(later)
    SandboxClient.prototype.releaseProvisional = releaseProvisional
    Object.assign(dying, { [step]: alive })
    const abandoned = await clientOf(order[1]).leaseOfTask('a')
    t.match(abandoned, { provisional: true })
    const placed = await take()
    t.match(placed?.lease, { provisional: false })
    t.equal(placed?.at.container.id, order[1]?.id, expected)
    t.equal(await clientOf(order[2]).leaseOfTask('a'), null)
  }
})

t.test('who gives up between two steps leaves no lease', async (t) => {
  const { order, clientOf, block, take, later } = await pool(t, 3)
  await block(order[0])
  const controller = new AbortController()
  const home = clientOf(order[0])
  const { noteWhereabouts } = home
  home.noteWhereabouts = async (...args) => {
    const answer = await noteWhereabouts.apply(home, args)
    controller.abort()
    return answer
  }
  await t.rejects(take('me', controller.signal), { code: 'CANCELLED' })
  home.noteWhereabouts = noteWhereabouts
  await Promise.all(later)
  t.equal(await clientOf(order[1]).leaseOfTask('a'), null)
  t.equal((await take('you'))?.lease.owner, 'you')
})

t.test('by a roster that is no longer in force there is nothing to be had', async (t) => {
  const { backend, containers, roster, take, way, order } = await pool(t, 2)
  await backend.grow(3)
  await agreeOnRoster(containers, signal)
  for (const asked of [take(), way().locate()]) {
    const doubted = await asked.then(
      () => undefined,
      (error) => error,
    )
    t.ok(doubted instanceof RosterDoubted)
    t.equal((doubted as RosterDoubted).refusedBy?.container.id, order[0]?.id)
  }
  const never = { ...roster, members: roster.members.map((one) => ({ ...one, at: undefined })) }
  const silent = await way('me', never)
    .locate()
    .catch((error) => error)
  t.equal((silent as RosterDoubted).silent?.id, order[0]?.id)
})

/** Two managers of a full-grown pool, one of which knows it from before it changed. */
async function twoManagers(t: Test, containers: number, slots = 2) {
  const backend = new FakeBackend({ slots })
  t.teardown(() => backend.destroy())
  const open = async () => {
    const pool = await SlotPool.open({ backend, min: containers, max: 8, slots })
    t.teardown(() => pool.close())
    await pool.fill()
    return pool
  }
  return { backend, one: await open(), other: await open() }
}

const taskIds = Array.from({ length: 8 }, (_, i) => `task-${i}`)

t.test('tasks keep their slots for all managers when containers come, though their home changes', async (t) => {
  const { backend, one, other } = await twoManagers(t, 4)
  const leaseIds = new Map<string, string>()
  for (const taskId of taskIds) leaseIds.set(taskId, (await one.lease(taskId)).leaseId)
  await backend.grow(8)
  await other.status()
  const third = await SlotPool.open({ backend, max: 8, slots: 2 })
  t.teardown(() => third.close())
  for (const pool of [third, other, one]) {
    for (const taskId of taskIds) t.equal((await pool.lease(taskId)).leaseId, leaseIds.get(taskId))
  }
  await other.release('task-0')
  await t.rejects(one.release('task-9'), { code: 'TASK_NOT_FOUND' })
  await Promise.all(taskIds.slice(1).map((taskId) => third.release(taskId)))
  t.equal((await third.status()).totals.leased, 0)
})

for (const [what, containers, end] of [
  ['a container dies', 5, 'kill'],
  ['a server starts anew', 4, 'restart'],
] as const) {
  t.test(`when ${what} its tasks alone are lost`, async (t) => {
    const { backend, one, other } = await twoManagers(t, containers)
    const before = new Map(await Promise.all(taskIds.map(async (taskId) => [taskId, await one.lease(taskId)] as const)))
    const lost = before.get('task-0')?.containerId ?? ''
    await backend[end](lost)
    for (const taskId of taskIds) {
      const slots = await Promise.all([other.lease(taskId), one.lease(taskId)])
      const was = before.get(taskId)
      t.equal(slots[0].leaseId, slots[1].leaseId)
      t.equal(slots[0].leaseId === was?.leaseId, was?.containerId !== lost)
    }
  })
}

t.test('a silent container holds up its own tasks, and no others', async (t) => {
  const { backend, one, other } = await twoManagers(t, 3, 10)
  const slots = new Map(await Promise.all(taskIds.map(async (taskId) => [taskId, await one.lease(taskId)] as const)))
  const silent = slots.get('task-0')?.containerId ?? ''
  backend.pause(silent)
  const kept = taskIds.filter((taskId) => slots.get(taskId)?.containerId !== silent)
  t.ok(kept.length > 0)
  for (const taskId of kept) t.equal((await other.lease(taskId, { waitMs: 0 })).leaseId, slots.get(taskId)?.leaseId)
  const refusal = { code: 'SERVER_UNREACHABLE', details: { taskId: 'task-0', silentContainers: [silent] } }
  await t.rejects(other.lease('task-0', { waitMs: 0 }), refusal)
  const patient = other.lease('task-0')
  backend.resume(silent)
  t.equal((await patient).leaseId, slots.get('task-0')?.leaseId)
})

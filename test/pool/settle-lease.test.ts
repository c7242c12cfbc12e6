import fc from 'fast-check'
import t, { type Test } from 'tap'
import { FakeBackend } from '../../lib/backend/fake/fake-backend.ts'
import { SandboxClient } from '../../lib/client/sandbox-client.ts'
import { loadConfig } from '../../lib/config.ts'
import { Containers, type ReadyContainer } from '../../lib/pool/containers.ts'
import { Growth } from '../../lib/pool/growth.ts'
import { leaseTask } from '../../lib/pool/lease-task.ts'
import { settleLease } from '../../lib/pool/settle-lease.ts'
import { WaitingLine } from '../../lib/pool/waiting-line.ts'

t.setTimeout(240_000)

const signal = new AbortController().signal
/** A request that a manager may be slow with, before it is sent or before its answer is seen. */
const methods = ['lease', 'leaseOfTask', 'confirm', 'renew', 'release', 'releaseProvisional'] as const

/** A manager of its own, each of whose requests waits for as many turns of the event loop as `turns` says next, before and after. */
function manager(t: Test, backend: FakeBackend, taskId: string, turns: () => number, owner = 'me') {
  const containers = new Containers(backend)
  t.teardown(() => containers.close())
  const growth = new Growth((count, signal) => containers.grow(count, signal))
  const config = loadConfig({ max: 3, slots: 1, owner }, {})
  const context = { config, backend, containers, line: new WaitingLine(), growth, later: () => {} }
  const slow = async () => {
    const look = await containers.look()
    for (const { client } of look.ready) slowDown(client, turns)
  }
  return { slow, lease: () => leaseTask(context, taskId, signal, signal) }
}

function slowDown(client: SandboxClient, turns: () => number): void {
  const pass = async () => {
    for (let left = turns(); left > 0; left--) await new Promise((resolve) => setImmediate(resolve))
  }
  for (const method of methods) {
    const original = client[method].bind(client) as (...args: unknown[]) => Promise<unknown>
    Object.assign(client, {
      [method]: async (...args: unknown[]) => {
        await pass()
        const answer = await original(...args)
        await pass()
        return answer
      },
    })
  }
}

t.test('managers that race for a task end with one lease in the whole pool, which every one of them has', async (t) => {
  const backend = new FakeBackend({ slots: 1 })
  t.teardown(() => backend.destroy())
  await backend.grow(3)
  const token = await backend.token()
  const clients = (await backend.list()).map((one) => new SandboxClient(one.endpoint ?? { url: '' }, token))
  t.teardown(() => Promise.all(clients.map((client) => client.close())))
  let round = 0
  // Slots that are taken when the race begins, and come free in the middle of it: managers land in different containers.
  const taken = fc.array(fc.boolean(), { minLength: 3, maxLength: 3 })
  const pauses = fc.array(fc.nat({ max: 12 }), { minLength: 8, maxLength: 60 })
  await fc.assert(
    fc.asyncProperty(taken, fc.integer({ min: 2, max: 4 }), pauses, fc.nat({ max: 30 }), async (blocked, count, sizes, freeAfter) => {
      const taskId = `task-${round++}`
      const blockers = await Promise.all(
        clients.map(async (client, i) => {
          if (!blocked[i]) return undefined
          return { client, lease: (await client.lease({ taskId: `blocker-${round}-${i}`, owner: 'other', ttlMs: 60_000 })).lease }
        }),
      )
      let at = 0
      const turns = () => sizes[at++ % sizes.length] ?? 0
      const managers = Array.from({ length: count }, () => manager(t, backend, taskId, turns))
      for (const one of managers) await one.slow()
      const leasing = managers.map((one) => one.lease())
      for (let left = freeAfter; left > 0; left--) await new Promise((resolve) => setImmediate(resolve))
      for (const blocker of blockers) await blocker?.client.release(blocker.lease.leaseId)
      const got = await Promise.all(leasing)
      const standing = (await Promise.all(clients.map((client) => client.leaseOfTask(taskId)))).filter((lease) => lease !== null)
      t.equal(standing.length, 1)
      t.equal(standing[0]?.provisional, false)
      t.same(new Set(got.map((one) => one.lease.leaseId)), new Set(standing.map((lease) => lease.leaseId)))
      await Promise.all(
        clients.map(async (client) => {
          const lease = await client.leaseOfTask(taskId)
          if (lease) await client.release(lease.leaseId)
        }),
      )
    }),
    { numRuns: 150 },
  )
})

t.test('a lease that two managers share is not ended by one of them when the other has confirmed it', async (t) => {
  const backend = new FakeBackend({ slots: 1 })
  t.teardown(() => backend.destroy())
  await backend.grow(2)
  const containers = new Containers(backend)
  t.teardown(() => containers.close())
  const { ready } = await containers.look()
  const [lower, higher] = ready as [ReadyContainer, ReadyContainer]
  const request = { taskId: 'a', owner: 'me', ttlMs: 60_000, provisional: true }
  const shared = (await higher.client.lease(request)).lease
  // A rival takes a place in the lower container; who sees that gives way. The other manager had looked before, and confirms.
  const rival = (await lower.client.lease(request)).lease
  const { releaseProvisional } = higher.client
  higher.client.releaseProvisional = async (...args) => {
    await higher.client.confirm(shared.leaseId)
    return releaseProvisional.apply(higher.client, args)
  }
  const look = async () => ready
  t.match(await settleLease({ at: higher, lease: shared }, look, signal), { lease: { leaseId: shared.leaseId, provisional: false } })
  t.match(await settleLease({ at: lower, lease: rival }, look, signal), { lease: { leaseId: shared.leaseId } })
  t.equal(await lower.client.leaseOfTask('a'), null)
  t.match(await higher.client.leaseOfTask('a'), { leaseId: shared.leaseId, provisional: false })
})

t.test('a manager that died on the way holds nobody up for longer than its lease lives', async (t) => {
  const backend = new FakeBackend({ slots: 1 })
  t.teardown(() => backend.destroy())
  await backend.grow(2)
  const containers = new Containers(backend)
  t.teardown(() => containers.close())
  const [lower, higher] = (await containers.look()).ready as [ReadyContainer, ReadyContainer]
  const request = { taskId: 'a', owner: 'me', ttlMs: 60_000, provisional: true }
  const abandoned = (await higher.client.lease(request)).lease
  const mine = (await lower.client.lease(request)).lease
  const settling = settleLease({ at: lower, lease: mine }, async () => [lower, higher], signal)
  await higher.client.releaseProvisional(abandoned.leaseId)
  t.match(await settling, { lease: { leaseId: mine.leaseId, provisional: false } })
})

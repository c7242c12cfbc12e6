import fc from 'fast-check'
import t from 'tap'
import { FakeBackend } from '../../lib/backend/fake/fake-backend.ts'
import { SandboxClient } from '../../lib/client/sandbox-client.ts'
import { loadConfig } from '../../lib/config.ts'
import { SlotpoolError } from '../../lib/errors.ts'
import { Containers } from '../../lib/pool/containers.ts'
import { Growth } from '../../lib/pool/growth.ts'
import type { PlacedLease } from '../../lib/pool/lease-by-roster.ts'
import { leaseTask } from '../../lib/pool/lease-task.ts'
import { LookOut } from '../../lib/pool/look-out.ts'
import { PoolRoster } from '../../lib/pool/pool-roster.ts'
import { Scaler } from '../../lib/pool/scaler.ts'
import { Vacancies } from '../../lib/pool/vacancies.ts'
import { WaitingLine } from '../../lib/pool/waiting-line.ts'
import { systemClock } from '../../lib/sandbox/clock.ts'
import type { Lease } from '../../lib/wire/lease.ts'

t.setTimeout(240_000)

const never = new AbortController().signal

/** Requests that a manager may be slow with, before they are sent or before their answer is seen. */
const methods = [
  ...(['leaseByRoster', 'taskAtHome', 'leaseOfTask', 'noteWhereabouts', 'forgetWhereabouts', 'confirm', 'renew'] as const),
  ...(['release', 'releaseProvisional', 'releaseUnshared', 'roster', 'proposeRoster', 'openRoster'] as const),
]

/** How many turns of the event loop the next request waits. */
let turns = (): number => 0

const pass = async (count: number): Promise<void> => {
  for (let left = count; left > 0; left--) await new Promise((resolve) => setImmediate(resolve))
}

for (const method of methods) {
  const original = SandboxClient.prototype[method] as (...args: unknown[]) => Promise<unknown>
  Object.assign(SandboxClient.prototype, {
    [method]: async function (this: SandboxClient, ...args: unknown[]) {
      await pass(turns())
      const answer = await original.apply(this, args)
      await pass(turns())
      return answer
    },
  })
}

/** A manager that knows nothing of any other. */
function manager(backend: FakeBackend, max: number) {
  const vacancies = new Vacancies()
  const containers = new Containers(backend, systemClock, (id) => vacancies.heard(id, 1))
  const roster = new PoolRoster(containers)
  const growth = new Growth({
    grow: async (count, signal) => roster.covers(await containers.grow(count, signal)),
    clock: systemClock,
    onEnd: () => {},
  })
  // It is never started: nothing is drained here.
  const scaler = new Scaler({
    containers,
    idleMs: 600_000,
    giveUpSilentMs: 600_000,
    needs: () => ({ min: 0, max: 10, waiting: 0, active: true, stuck: false, highestOnly: false }),
    grow: async () => {},
    onRemoved: () => {},
    onStuck: () => {},
    clock: systemClock,
  })
  const config = loadConfig({ max, slots: 1, owner: 'me', lifetimeMs: 600_000 }, {})
  const behind: Promise<void>[] = []
  const context = {
    config,
    backend,
    containers,
    roster,
    line: new WaitingLine(),
    growth,
    scaler,
    metadata: {},
    vacancies,
    lookOut: new LookOut(vacancies, systemClock),
    onWait: () => {},
    later: (work: Promise<void>) => behind.push(work),
  }
  return {
    roster,
    lease: (taskId: string, signal = never) => leaseTask(context, taskId, signal, never),
    close: async () => {
      await scaler.close()
      await growth.close()
      await roster.close()
      await Promise.all(behind)
      await containers.close()
    },
  }
}

/** Clients of the test's own, which are never slow. */
async function withClients<T>(backend: FakeBackend, work: (clients: SandboxClient[]) => Promise<T>): Promise<T> {
  const token = await backend.token()
  const live = (await backend.list()).filter((one) => one.state === 'ready')
  const clients = live.map((one) => new SandboxClient(one.endpoint ?? { url: '' }, token))
  try {
    return await work(clients)
  } finally {
    await Promise.all(clients.map((client) => client.close()))
  }
}

async function allLeases(backend: FakeBackend): Promise<Lease[]> {
  return withClients(backend, async (clients) => {
    const status = await Promise.all(clients.map((client) => client.status()))
    return status.flatMap((one) => one.slots.flatMap(({ lease }) => lease ?? []))
  })
}

async function releaseAll(backend: FakeBackend): Promise<void> {
  await withClients(backend, async (clients) => {
    for (const client of clients) {
      for (const { lease } of (await client.status()).slots) if (lease) await client.release(lease.leaseId)
    }
  })
}

/** What may happen to a pool in the middle of everything. */
const event = fc.record({
  afterTurns: fc.nat({ max: 40 }),
  what: fc.constantFrom('free', 'free', 'kill', 'restart', 'grow', 'expire', 'die'),
  which: fc.nat({ max: 7 }),
})

t.test('managers that race for tasks end with one lease a task, whatever happens to the containers meanwhile', async (t) => {
  const backend = new FakeBackend({ slots: 1 })
  t.teardown(() => backend.destroy())
  let round = 0
  const pauses = fc.array(fc.nat({ max: 12 }), { minLength: 8, maxLength: 60 })
  const rounds = fc.record({
    taken: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
    // Of some the roster is known from before, of others it is not.
    informed: fc.array(fc.boolean(), { minLength: 2, maxLength: 4 }),
    tasks: fc.integer({ min: 1, max: 2 }),
    sizes: pauses,
    events: fc.array(event, { maxLength: 4 }),
  })
  await fc.assert(
    fc.asyncProperty(rounds, async ({ taken, informed, tasks, sizes, events }) => {
      round++
      turns = () => 0
      await backend.grow(4)
      const taskIds = Array.from({ length: tasks }, (_, i) => `task-${round}-${i}`)
      await withClients(backend, async (clients) => {
        for (const [i, client] of clients.entries()) {
          if (taken[i]) await client.lease({ taskId: `blocker-${round}-${i}`, owner: 'other', ttlMs: 600_000 })
        }
      })
      let at = 0
      const managers = informed.map(() => manager(backend, 6))
      await Promise.all(managers.map((one, i) => informed[i] && one.roster.get(never)))
      turns = () => sizes[at++ % sizes.length] ?? 0
      const aborts = managers.map(() => new AbortController())
      const leasing = managers.flatMap((one, i) =>
        taskIds.map((taskId) =>
          one.lease(taskId, aborts[i]?.signal).catch((error) => {
            if (!(error instanceof SlotpoolError) || error.code !== 'CANCELLED') throw error
            return undefined
          }),
        ),
      )
      for (const { afterTurns, what, which } of events) {
        await pass(afterTurns)
        const live = (await backend.list()).filter((one) => one.state === 'ready')
        const id = live[which % live.length]?.id ?? ''
        if (what === 'kill' && live.length > 1) await backend.kill(id)
        if (what === 'restart') await backend.restart(id)
        if (what === 'grow') await backend.grow(Math.min(6, live.length + 1))
        // A manager that dies finishes nothing: what it has not asked for yet, it never will.
        if (what === 'die') aborts[which % aborts.length]?.abort()
        await withClients(backend, async (clients) => {
          const client = clients[which % clients.length]
          const status = await client?.status().catch(() => undefined)
          for (const { lease } of status?.slots ?? []) {
            if (what === 'free' && lease?.owner === 'other') await client?.release(lease.leaseId).catch(() => {})
            if (what === 'expire' && lease?.provisional) await client?.releaseProvisional(lease.leaseId).catch(() => {})
          }
        })
      }
      await withClients(backend, async (clients) => {
        for (const client of clients) {
          for (const { lease } of (await client.status()).slots) if (lease?.owner === 'other') await client.release(lease.leaseId)
        }
      })
      const got = (await Promise.all(leasing)).filter((one) => one !== undefined)
      turns = () => 0
      const late = manager(backend, 6)
      const found: PlacedLease[] = []
      for (const taskId of taskIds) found.push(await late.lease(taskId))
      for (const one of [...managers, late]) await one.close()
      const leases = await allLeases(backend)
      for (const [i, taskId] of taskIds.entries()) {
        const standing = leases.filter((lease) => lease.taskId === taskId && !lease.provisional)
        t.equal(standing.length, 1, `one lease of ${taskId}`)
        t.equal(standing[0]?.leaseId, found[i]?.lease.leaseId, 'which a late manager finds')
        // Those that a manager was given stand, unless their container ended or was started anew.
        const alive = await bootsOf(backend)
        for (const { lease } of got) {
          if (lease.taskId === taskId && alive.has(lease.bootId)) t.equal(lease.leaseId, standing[0]?.leaseId, 'it is what each was given')
        }
      }
      await releaseAll(backend)
    }),
    { numRuns: 100 },
  )
})

async function bootsOf(backend: FakeBackend): Promise<Set<string>> {
  return withClients(backend, async (clients) => new Set(await Promise.all(clients.map(async (client) => (await client.health()).bootId))))
}

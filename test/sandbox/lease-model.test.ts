import { randomUUID } from 'node:crypto'
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import fc from 'fast-check'
import { pino } from 'pino'
import t from 'tap'
import type { ErrorCode } from '../../lib/errors.ts'
import type { HeldLease } from '../../lib/sandbox/held-lease.ts'
import { LeaseTable } from '../../lib/sandbox/lease-table.ts'
import { ownProvenance } from '../../lib/sandbox/provenance.ts'
import { Slots } from '../../lib/sandbox/slots.ts'
import { noLimits } from '../../lib/wire/limits.ts'
import { MovedClock } from '../fixtures/moved-clock.ts'
import { type WatchedJail, WatchedJails } from '../fixtures/watched-jails.ts'

const log = pino({ enabled: false })
const slotCount = 3
/** A lease ends at the latest so long after it is due. */
const lateMs = 10_000

/** One boot of a server: its slots, its leases, and what was seen of them. */
class Boot {
  readonly bootId = randomUUID()
  readonly clock: MovedClock
  readonly jails: WatchedJails
  readonly slots: Slots
  readonly leases: LeaseTable
  /** Leases of which the end was told, before their jail was ended. */
  readonly told = new Set<WatchedJail>()

  constructor(clock: MovedClock, step?: (what: string) => Promise<unknown>) {
    this.clock = clock
    this.jails = new WatchedJails(step)
    this.slots = new Slots({ count: slotCount, kind: this.jails, folder: '/slots', log, clock })
    this.leases = new LeaseTable({
      bootId: this.bootId,
      slots: this.slots,
      terms: { limits: noLimits, mounts: [], provenance: ownProvenance },
      clock,
      log,
      onEnd: (held: HeldLease) => this.told.add(this.jails.of(held.slot.jail)),
    })
    const given = new Set<unknown>()
    const { take } = this.slots
    this.slots.take = async () => {
      const slot = await take.call(this.slots)
      this.jails.checkGiven(slot.jail)
      given.add(this.jails.of(slot.jail))
      return slot
    }
    this.jails.onEnd = (jail) => {
      if (!given.has(jail) || jail.state !== 'alive') return
      if (!this.told.has(jail)) this.jails.faults.push(`the jail of slot ${jail.slot} was ended before the end of its lease was told`)
      if (this.leases.all().some((held) => this.jails.of(held.slot.jail) === jail)) {
        this.jails.faults.push(`the jail of slot ${jail.slot} was ended under a lease that stands`)
      }
    }
  }

  async close(): Promise<void> {
    await this.leases.releaseAll('it was shut down')
    for (const jail of this.jails.all) jail.stuck = false
    await this.slots.close()
  }

  /** What ought to hold at every moment. */
  check(): void {
    const held = this.leases.all()
    const [slots, tasks] = [held.map((one) => one.slot.number), held.map((one) => one.taskId)]
    if (new Set(slots).size !== slots.length) this.jails.faults.push(`a slot has two leases: ${slots}`)
    if (new Set(tasks).size !== tasks.length) this.jails.faults.push(`a task has two leases: ${tasks}`)
    const { leased, mostLeased } = this.leases.load(3_600_000)
    if (mostLeased > slotCount || leased > mostLeased) this.jails.faults.push(`${leased} are leased, ${mostLeased} were at once`)
    if (this.leases.state === 'retired' && this.leases.size > 0) this.jails.faults.push('a retired server has a lease')
    if (this.jails.faults.length > 0) throw new Error(this.jails.faults.join('; '))
  }
}

/** A lease as it ought to be. */
interface ModelLease {
  leaseId: string
  taskId: string
  owner: string
  ttlMs: number
  lastUsedAtMs: number
  provisional: boolean
  shared: boolean
  /** Ends each work that is under way. */
  works: (() => Promise<void>)[]
  /** Its jail cannot be ended, and its slot will not be had again. */
  stuck: boolean
}

/** What ought to be known of the leases of one container, over all of its boots. */
class Model {
  readonly standing = new Map<string, ModelLease>()
  readonly ended = new Map<string, RegExp>()
  capacity = slotCount
  drainedUntilMs = 0
  retired = false
  /** The number of the roster, and whether it is open; 0 before there is one. */
  roster = 0
  rosterOpen = false

  idle(): number {
    return this.capacity - this.standing.size
  }

  end(lease: ModelLease, how: RegExp): void {
    this.standing.delete(lease.taskId)
    this.ended.set(lease.leaseId, how)
    if (lease.stuck) this.capacity--
  }

  /** Any id that was ever given, or never was. */
  pick(at: number): string {
    const ids = [...[...this.standing.values()].map(({ leaseId }) => leaseId), ...this.ended.keys(), 'never']
    return ids[at % ids.length] as string
  }

  of(leaseId: string): ModelLease | undefined {
    return [...this.standing.values()].find((lease) => lease.leaseId === leaseId)
  }
}

interface Real {
  boot: Boot
  clock: MovedClock
}

/** What was refused, and in which words. */
type Refusal = { code: ErrorCode; message?: RegExp } | undefined

async function outcome<T>(work: () => T | Promise<T>, expected: Refusal): Promise<T | undefined> {
  try {
    const result = await work()
    if (expected) throw new Error(`expected ${expected.code}, got an answer`)
    return result
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    if (!expected || code !== expected.code || expected.message?.test(message) === false) {
      throw new Error(`expected ${expected ? `${expected.code} ${expected.message ?? ''}` : 'an answer'}, got ${code ?? ''} ${message}`)
    }
    return undefined
  }
}

function equal(what: string, got: unknown, expected: unknown): void {
  if (got !== expected) throw new Error(`${what}: got ${got}, expected ${expected}`)
}

/** One thing that a manager, a tenant or time does. Its `act` changes both, and compares what came of it. */
abstract class Step implements fc.AsyncCommand<Model, Real> {
  check(): boolean {
    return true
  }

  async run(model: Model, real: Real): Promise<void> {
    await this.act(model, real)
    const { boot, clock } = real
    const settled = (): boolean => boot.slots.idle === model.idle() && boot.slots.outOfService === slotCount - model.capacity
    for (let i = 0; !settled() && i < 100; i++) await turnOfTheLoop()
    boot.check()
    const load = boot.leases.load(3_600_000)
    const state = model.retired ? 'retired' : clock.now() < model.drainedUntilMs ? 'draining' : 'serving'
    equal('state', load.state, state)
    equal('leased', load.leased, model.standing.size)
    equal('idle', load.idle, model.idle())
    equal('out of service', load.outOfService, slotCount - model.capacity)
    if (load.mostLeased < load.leased) throw new Error('fewer were leased than are')
    for (const { taskId, leaseId, owner, provisional } of model.standing.values()) {
      const held = boot.leases.ofTask(taskId)
      equal(`lease of ${taskId}`, held?.leaseId, leaseId)
      equal(`owner of ${taskId}`, held?.owner, owner)
      equal(`whether ${taskId} is provisional`, held?.provisional, provisional)
    }
    for (const [leaseId, message] of model.ended) await outcome(() => boot.leases.get(leaseId), { code: 'LEASE_LOST', message })
  }

  abstract act(model: Model, real: Real): Promise<void>
  abstract toString(): string
}

interface Asked {
  taskId: string
  owner: string
  ttlMs: number
  provisional: boolean
}

class Lease extends Step {
  readonly asked: Asked
  /** By the roster in force, by another, or by none. */
  readonly by: 'roster' | 'other-roster' | 'none'

  constructor(asked: Asked, by: Lease['by']) {
    super()
    this.asked = asked
    this.by = by
  }

  async act(model: Model, { boot, clock }: Real): Promise<void> {
    const request = { ...this.asked, metadata: {} }
    const roster = this.by === 'other-roster' ? 'other' : `roster-${model.roster}`
    const expected = this.#refusal(model, clock)
    const answer = await outcome(
      async () => (this.by === 'none' ? boot.leases.acquire(request) : boot.leases.acquireByRoster({ ...request, roster })),
      expected,
    )
    if (!answer) return
    const { taskId, ttlMs, provisional, owner } = this.asked
    const known = model.standing.get(taskId)
    const leaseId = answer.lease?.leaseId as string
    equal('created', answer.created, known === undefined)
    if (known) {
      equal('lease', leaseId, known.leaseId)
      Object.assign(known, { ttlMs, shared: true, lastUsedAtMs: clock.now() })
      if (!provisional) known.provisional = false
      return
    }
    if (model.ended.has(leaseId) || model.of(leaseId)) throw new Error(`lease id ${leaseId} was given before`)
    const lease = { leaseId, taskId, owner, ttlMs, provisional, lastUsedAtMs: clock.now(), shared: false, works: [], stuck: false }
    model.standing.set(taskId, lease)
  }

  #refusal(model: Model, clock: MovedClock): Refusal {
    const { taskId, owner, provisional } = this.asked
    const known = model.standing.get(taskId)
    const served = this.by === 'none' || (this.by === 'roster' && model.rosterOpen)
    const changed = { code: 'ROSTER_CHANGED' } as const
    if (!served && !provisional && known?.provisional) return changed
    if (known) return known.owner === owner ? undefined : { code: 'LEASE_OWNER_MISMATCH' }
    if (!served) return changed
    if (model.retired) return { code: 'SLOT_UNAVAILABLE', message: /retired/ }
    if (clock.now() < model.drainedUntilMs) return { code: 'SLOT_UNAVAILABLE', message: /drained/ }
    return model.idle() === 0 ? { code: 'SLOT_UNAVAILABLE', message: /are leased/ } : undefined
  }

  toString(): string {
    return `lease(${JSON.stringify(this.asked)}, ${this.by})`
  }
}

/** What is done with a lease by its id. */
class ById extends Step {
  readonly what: 'renew' | 'confirm' | 'release' | 'release-provisional' | 'abandon'
  readonly at: number
  readonly ttlMs: number

  constructor(what: ById['what'], at: number, ttlMs: number) {
    super()
    this.what = what
    this.at = at
    this.ttlMs = ttlMs
  }

  async act(model: Model, { boot, clock }: Real): Promise<void> {
    const leaseId = model.pick(this.at)
    const lease = model.of(leaseId)
    const { leases } = boot
    if (!lease) {
      const how = model.ended.get(leaseId)
      const refusal = how ? ({ code: 'LEASE_LOST', message: how } as const) : ({ code: 'LEASE_NOT_FOUND' } as const)
      await outcome(() => this.#do(leases, leaseId), refusal)
      return
    }
    const stands = this.what === 'renew' || this.what === 'confirm' || (this.what === 'abandon' && lease.shared)
    const contended = this.what === 'release-provisional' && !lease.provisional
    const unended = !stands && lease.stuck
    await outcome(() => this.#do(leases, leaseId), contended ? { code: 'LEASE_CONTENDED' } : unended ? { code: 'JAIL_FAILED' } : undefined)
    if (this.what === 'renew') lease.ttlMs = this.ttlMs
    if (this.what === 'confirm') lease.provisional = false
    if (this.what === 'renew' || this.what === 'confirm') lease.lastUsedAtMs = clock.now()
    else if (!stands && !contended) model.end(lease, /it was released|gave way|had gone/)
  }

  async #do(leases: LeaseTable, leaseId: string): Promise<unknown> {
    if (this.what === 'renew') return leases.renew(leaseId, this.ttlMs)
    if (this.what === 'confirm') return leases.confirm(leaseId)
    if (this.what === 'release') return leases.release(leaseId)
    if (this.what === 'abandon') return leases.abandon(leases.get(leaseId))
    return leases.releaseProvisional(leaseId)
  }

  toString(): string {
    return `${this.what}(${this.at}${this.what === 'renew' ? `, ${this.ttlMs}` : ''})`
  }
}

/** A command begins under a lease, or one ends. */
class Work extends Step {
  readonly what: 'begin' | 'finish'
  readonly at: number

  constructor(what: Work['what'], at: number) {
    super()
    this.what = what
    this.at = at
  }

  async act(model: Model, { boot, clock }: Real): Promise<void> {
    const all = [...model.standing.values()]
    const lease = all[this.at % Math.max(1, all.length)]
    if (!lease) return
    if (this.what === 'finish') {
      await lease.works.pop()?.()
      lease.lastUsedAtMs = clock.now()
      // It was none of ours that was used.
      boot.leases.touch(boot.leases.get(lease.leaseId))
      return
    }
    let finish = (): void => {}
    const done = boot.leases.use(boot.leases.get(lease.leaseId), () => new Promise<void>((resolve) => (finish = resolve)))
    lease.works.push(async () => {
      finish()
      await done
    })
  }

  toString(): string {
    return `${this.what}(${this.at})`
  }
}

class Pass extends Step {
  readonly byMs: number

  constructor(byMs: number) {
    super()
    this.byMs = byMs
  }

  async act(model: Model, { boot, clock }: Real): Promise<void> {
    clock.move(this.byMs)
    for (const lease of [...model.standing.values()]) {
      const { provisional, ttlMs, lastUsedAtMs, works } = lease
      const dueAtMs = works.length > 0 ? Number.POSITIVE_INFINITY : lastUsedAtMs + (provisional ? Math.min(ttlMs, lateMs) : ttlMs)
      const stands = boot.leases.ofTask(lease.taskId) !== undefined
      if (clock.now() < dueAtMs && !stands) throw new Error(`${lease.taskId} ended ${dueAtMs - clock.now()} ms before it was due`)
      if (clock.now() >= dueAtMs + lateMs && stands) throw new Error(`${lease.taskId} stands ${clock.now() - dueAtMs} ms after it was due`)
      if (!stands) model.end(lease, provisional ? /nobody confirmed it/ : /it was not used for/)
    }
  }

  toString(): string {
    return `pass(${this.byMs})`
  }
}

/** A jail ends by itself, or gets processes that cannot be ended. */
class Jailed extends Step {
  readonly what: 'die' | 'stick'
  readonly at: number

  constructor(what: Jailed['what'], at: number) {
    super()
    this.what = what
    this.at = at
  }

  async act(model: Model, { boot }: Real): Promise<void> {
    const all = [...model.standing.values()]
    const lease = all[this.at % Math.max(1, all.length)]
    if (!lease) return
    const jail = boot.jails.of(boot.leases.get(lease.leaseId).slot.jail)
    if (this.what === 'stick') {
      jail.stuck = true
      lease.stuck = true
      return
    }
    jail.die()
    lease.stuck = false
    for (let i = 0; i < 3; i++) await turnOfTheLoop()
    model.end(lease, /its jail ended unexpectedly/)
  }

  toString(): string {
    return `${this.what}(${this.at})`
  }
}

class Roster extends Step {
  readonly opened: boolean

  constructor(opened: boolean) {
    super()
    this.opened = opened
  }

  async act(model: Model, { boot }: Real): Promise<void> {
    const number = model.roster + 1
    const replaces = model.roster === 0 ? null : `roster-${model.roster}`
    const standing = boot.leases.propose({
      id: `roster-${number}`,
      number,
      added: replaces === null ? ['here', 'there'] : [],
      gone: [],
      replaces,
    })
    const lasting = [...model.standing.values()].filter(({ provisional }) => !provisional)
    equal(
      'leases that stand',
      standing
        .map(({ leaseId }) => leaseId)
        .sort()
        .join(),
      lasting
        .map(({ leaseId }) => leaseId)
        .sort()
        .join(),
    )
    for (const lease of [...model.standing.values()]) if (lease.provisional) model.end(lease, /containers of the pool changed/)
    if (this.opened) boot.leases.roster.open({ id: `roster-${number}`, whereabouts: [] })
    model.roster = number
    model.rosterOpen = this.opened
  }

  toString(): string {
    return `roster(${this.opened ? 'open' : 'closed'})`
  }
}

class Drain extends Step {
  /** 0: no more. */
  readonly ttlMs: number

  constructor(ttlMs: number) {
    super()
    this.ttlMs = ttlMs
  }

  async act(model: Model, { boot, clock }: Real): Promise<void> {
    if (this.ttlMs === 0) boot.leases.undrain()
    else boot.leases.drain(this.ttlMs)
    model.drainedUntilMs = this.ttlMs === 0 ? 0 : clock.now() + this.ttlMs
  }

  toString(): string {
    return `drain(${this.ttlMs})`
  }
}

class Retire extends Step {
  async act(model: Model, { boot }: Real): Promise<void> {
    const { retired, leases } = boot.leases.retire()
    equal('leases in the way', leases, model.standing.size)
    equal('retired', retired, model.standing.size === 0)
    model.retired ||= retired
  }

  toString(): string {
    return 'retire'
  }
}

class Restart extends Step {
  async act(model: Model, real: Real): Promise<void> {
    await real.boot.close()
    real.boot.check()
    real.boot = new Boot(real.clock)
    await real.boot.slots.start()
    for (const lease of [...model.standing.values()]) model.end(lease, /started anew since/)
    for (const leaseId of model.ended.keys()) model.ended.set(leaseId, /started anew since/)
    Object.assign(model, { capacity: slotCount, drainedUntilMs: 0, retired: false, roster: 0, rosterOpen: false })
  }

  toString(): string {
    return 'restart'
  }
}

const ttl = fc.constantFrom(1, 5_000, 15_000, 60_000)
const asked = fc.record({
  taskId: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
  owner: fc.constantFrom('me', 'me', 'me', 'you'),
  ttlMs: ttl,
  provisional: fc.boolean(),
})
const steps = [
  fc.tuple(asked, fc.constantFrom('none', 'roster', 'other-roster')).map(([one, by]) => new Lease(one, by as Lease['by'])),
  fc.tuple(asked, fc.constantFrom('none', 'roster')).map(([one, by]) => new Lease(one, by as Lease['by'])),
  fc
    .tuple(fc.constantFrom('renew', 'confirm', 'release', 'release-provisional', 'abandon'), fc.nat(20), ttl)
    .map(([what, at, ttlMs]) => new ById(what as ById['what'], at, ttlMs)),
  fc.tuple(fc.constantFrom('begin', 'finish'), fc.nat(5)).map(([what, at]) => new Work(what as Work['what'], at)),
  fc.constantFrom(1, 999, 5_000, 10_000, 25_000, 100_000).map((byMs) => new Pass(byMs)),
  fc.tuple(fc.constantFrom('die', 'die', 'stick'), fc.nat(5)).map(([what, at]) => new Jailed(what as Jailed['what'], at)),
  fc.boolean().map((opened) => new Roster(opened)),
  fc.constantFrom(0, 1_000, 60_000).map((ttlMs) => new Drain(ttlMs)),
  fc.constant(new Retire()),
  fc.constant(new Restart()),
]

t.test('leases are as a plain model of them, whatever is done one after the other', async () => {
  await fc.assert(
    fc.asyncProperty(fc.commands(steps, { maxCommands: 60, size: '+1' }), async (commands) => {
      const clock = new MovedClock()
      const real: Real = { boot: new Boot(clock), clock }
      await real.boot.slots.start()
      try {
        await fc.asyncModelRun(() => ({ model: new Model(), real }), commands)
      } finally {
        await real.boot.close()
      }
    }),
    { numRuns: 120 },
  )
})

/** What is asked of a boot without waiting for what was asked before. */
const askings = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ what: fc.constant('lease' as const), taskId: fc.constantFrom('a', 'b', 'c', 'd'), provisional: fc.boolean() }),
  },
  { weight: 4, arbitrary: fc.record({ what: fc.constant('release' as const), taskId: fc.constantFrom('a', 'b', 'c', 'd') }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('die' as const), taskId: fc.constantFrom('a', 'b', 'c', 'd') }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('pass' as const), byMs: fc.constantFrom(5_000, 70_000) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constantFrom('drain' as const, 'undrain' as const, 'roster' as const) }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('retire' as const) }) },
  // Lets some of what is under way go on.
  { weight: 6, arbitrary: fc.record({ what: fc.constant('go-on' as const), steps: fc.integer({ min: 1, max: 6 }) }) },
)

t.test(
  'in whatever order what is asked at the same time comes to its end, no slot and no task has two leases, and a retired one has none',
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.array(askings, { maxLength: 40, size: '+1' }), async (scheduler, asked) => {
        const clock = new MovedClock()
        const boot = new Boot(clock, (what) => scheduler.schedule(Promise.resolve(), what))
        const under: Promise<unknown>[] = []
        const given = new Set<string>()
        const jailsOf = new Map<string, WatchedJail[]>()
        let retired = false
        let rosters = 0
        const lease = async (taskId: string, provisional: boolean): Promise<void> => {
          const { lease, created } = await boot.leases.acquire({ taskId, owner: 'me', ttlMs: 60_000, provisional, metadata: {} })
          if (created && retired) boot.jails.faults.push('a retired server gave a lease')
          if (created && given.has(lease.leaseId)) boot.jails.faults.push(`lease id ${lease.leaseId} was given twice`)
          if (!created) return
          given.add(lease.leaseId)
          const jails = jailsOf.get(taskId) ?? []
          if (jails.some(({ state }) => state !== 'ended'))
            boot.jails.faults.push(`task ${taskId} got a slot while its last one was in use`)
          jailsOf.set(taskId, [...jails, boot.jails.of(lease.slot.jail)])
        }
        const starting = boot.slots.start()
        const goOn = async (): Promise<void> => {
          if (scheduler.count() > 0) await scheduler.waitOne()
          await turnOfTheLoop()
          boot.check()
        }
        for (const one of asked) {
          const held = 'taskId' in one ? boot.leases.ofTask(one.taskId) : undefined
          if (one.what === 'lease') under.push(lease(one.taskId, one.provisional))
          if (one.what === 'release' && held) under.push(boot.leases.release(held.leaseId))
          if (one.what === 'die' && held) boot.jails.of(held.slot.jail).die()
          if (one.what === 'pass') clock.move(one.byMs)
          if (one.what === 'drain') boot.leases.drain(30_000)
          if (one.what === 'undrain') boot.leases.undrain()
          if (one.what === 'roster') {
            const replaces = rosters === 0 ? null : `roster-${rosters}`
            boot.leases.propose({
              id: `roster-${++rosters}`,
              number: rosters,
              added: replaces === null ? ['here'] : [],
              gone: [],
              replaces,
            })
          }
          if (one.what === 'retire' && boot.leases.retire().retired) {
            retired = true
            const leased = boot.jails.all.filter((jail) => boot.told.has(jail) && jail.state !== 'ended')
            if (leased.length > 0) boot.jails.faults.push('it retired before the last jail had ended')
          }
          for (const promise of under) promise.catch(() => {})
          boot.check()
          if (one.what === 'go-on') for (let i = 0; i < one.steps; i++) await goOn()
        }
        let over = false
        const closed = Promise.allSettled(under)
          .then(() => Promise.all([starting, boot.close()]))
          .finally(() => {
            over = true
          })
        while (!over) await goOn()
        await closed
        boot.check()
        const alive = boot.jails.all.filter(({ state, root }) => state !== 'ended' || !boot.jails.wiped.has(root))
        if (alive.length > 0) throw new Error(`${alive.length} jails are left at the end`)
      }),
      { numRuns: 120 },
    )
  },
)

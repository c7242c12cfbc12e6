import { EventEmitter, once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import { SlotpoolError } from '../errors.ts'
import type { CheckedLeaseRequest } from '../wire/lease.ts'
import type { RetireAnswer, ServerLoad, ServerState } from '../wire/load.ts'
import { ownerMismatch } from '../wire/owner-mismatch.ts'
import type { CheckedHomeLeaseRequest, RosterProposal, Whereabouts, WhereaboutsRequest } from '../wire/roster.ts'
import { Admission } from './admission.ts'
import type { Clock } from './clock.ts'
import type { Execution } from './execution.ts'
import { HeldLease, type SlotTerms } from './held-lease.ts'
import { HeldRoster } from './held-roster.ts'
import { KeptExecution } from './kept-execution.ts'
import { LeaseIds } from './lease-ids.ts'
import { LeasePeaks } from './lease-peaks.ts'
import type { Slots } from './slots.ts'

/** Of how many ended leases it is remembered how they ended. */
const rememberedEnds = 10_000

/** How long commands whose jails have ended may take to come to their outcome. */
const outcomePatienceMs = 1_000

/** What a home knows of a task: its lease here, or where it is; neither, when it has no slot. */
export type AtHome =
  | { lease: HeldLease; created?: boolean; elsewhere?: undefined }
  | { lease?: undefined; created?: undefined; elsewhere: Whereabouts | undefined }

/**
 * The authority on who has which slot. All of it happens in this one process, so a task has at most one lease here, and a slot at most one
 * tenant, without any lock.
 */
export class LeaseTable {
  /** Where tasks are that are at home here and have their slot elsewhere. */
  readonly roster = new HeldRoster()
  readonly #ids: LeaseIds
  readonly #slots: Slots
  readonly #terms: SlotTerms
  readonly #clock: Clock
  readonly #log: Logger
  readonly #onEnd: (held: HeldLease) => void
  readonly #byId = new Map<string, HeldLease>()
  readonly #byTask = new Map<string, HeldLease>()
  /** Leases being made, by task: a second request joins the first. */
  readonly #making = new Map<string, Promise<HeldLease>>()
  /** Leases being ended, by task: a new one waits until the old jail is gone. */
  readonly #ending = new Map<string, Promise<void>>()
  readonly #ended = new Map<string, string>()
  readonly #peaks: LeasePeaks
  readonly #admission: Admission
  readonly #changes = new EventEmitter<{ serving: []; quiet: [] }>().setMaxListeners(0)
  /** Commands that run, and files that are moved. */
  #working = 0
  #closed = false

  /** `bootId` is a UUID; `onEnd` is told of a lease that ends, before its jail does. */
  constructor(options: {
    bootId: string
    slots: Slots
    terms: SlotTerms
    clock: Clock
    log: Logger
    onEnd: (held: HeldLease) => void
  }) {
    this.#ids = new LeaseIds(options.bootId)
    this.#slots = options.slots
    this.#terms = options.terms
    this.#clock = options.clock
    this.#log = options.log
    this.#onEnd = options.onEnd
    this.#peaks = new LeasePeaks(options.clock)
    this.#admission = new Admission(options.clock, () => this.#changes.emit('serving'))
  }

  /** How many leases stand, or are being made. */
  get size(): number {
    return this.#byId.size + this.#making.size
  }

  /** Whether it gives new leases. */
  get state(): ServerState {
    return this.#admission.state
  }

  /** How busy the slots are, and were within the last `withinMs`. */
  load(withinMs: number): Omit<ServerLoad, 'bootId' | 'keep'> {
    const { count, inUse, idle, outOfService } = this.#slots
    let longestTtlMs = 0
    for (const { ttlMs } of this.#byId.values()) longestTtlMs = Math.max(longestTtlMs, ttlMs)
    return { state: this.state, slots: count, leased: inUse, idle, outOfService, mostLeased: this.#peaks.most(withinMs), longestTtlMs }
  }

  /** Refuses new leases for `ttlMs`, counted anew each time it is said. Leases that stand go on, and whoever asks for one gets it. */
  drain(ttlMs: number): void {
    this.#admission.drain(ttlMs)
  }

  /** Gives new leases again. */
  undrain(): void {
    this.#admission.undrain()
  }

  /**
   * Refuses new leases until the end of this server, which is near. Resolves when nothing is done under any lease, at the latest after `withinMs`;
   * what is begun under one that stands meanwhile counts, too.
   */
  async drainForGood(withinMs: number): Promise<void> {
    this.#admission.end()
    if (this.#working === 0 || withinMs <= 0) return
    await new Promise<void>((resolve) => {
      const stop = this.#clock.after(withinMs, resolve)
      this.#changes.once('quiet', () => {
        stop()
        resolve()
      })
    })
  }

  /** Gives no lease ever again, if there is none now: nor one that is being made, or whose slot is not back yet. */
  retire(): RetireAnswer {
    const leases = this.size + this.#ending.size
    if (leases > 0) return { retired: false, leases }
    this.#admission.retire()
    return { retired: true, leases }
  }

  /** Resolves as soon as a new lease could be had, at the latest after `waitMs`, with how many could. */
  async whenIdle(waitMs: number, signal: AbortSignal): Promise<number> {
    const until = performance.now() + waitMs
    if (this.state !== 'serving' && waitMs > 0) {
      const either = AbortSignal.any([signal, AbortSignal.timeout(waitMs)])
      await once(this.#changes, 'serving', { signal: either }).catch(() => {})
    }
    const idle = await this.#slots.whenIdle(Math.max(0, Math.ceil(until - performance.now())), signal)
    return this.state === 'serving' ? idle : 0
  }

  all(): HeldLease[] {
    return [...this.#byId.values()]
  }

  /**
   * The lease of a task: the one it has, or a new one.
   *
   * @throws {SlotpoolError} `LEASE_OWNER_MISMATCH` when another owner has it; `SLOT_UNAVAILABLE` when every slot is leased, or the server is
   *   drained or retired.
   */
  async acquire(request: CheckedLeaseRequest): Promise<{ lease: HeldLease; created: boolean }> {
    for (;;) {
      const held = this.#join(request)
      if (held) return { lease: held, created: false }
      const underWay = this.#underWay(request.taskId)
      if (!underWay) break
      await underWay.catch(() => {})
    }
    return { lease: await this.#makeFor(request), created: true }
  }

  /**
   * The lease of a task that is at home here by the roster it names, or that found its home full: the one it has, here or elsewhere, or a
   * new one.
   *
   * @throws {SlotpoolError} `ROSTER_CHANGED` when it has none here and that roster is not in force, or no more; else as {@link acquire}.
   */
  async acquireByRoster(request: CheckedHomeLeaseRequest): Promise<AtHome> {
    for (;;) {
      // Whether a provisional lease comes to stand is for the home to say, which this may be no more.
      if (!request.provisional && this.#byTask.get(request.taskId)?.provisional) this.roster.check(request.roster)
      const held = this.#join(request)
      if (held) return { lease: held, created: false }
      const elsewhere = this.roster.find(request.taskId, request.gone)
      if (elsewhere && !request.provisional) return { elsewhere }
      const underWay = this.#underWay(request.taskId)
      if (!underWay) break
      await underWay.catch(() => {})
    }
    this.roster.check(request.roster)
    if (request.gone !== undefined) this.roster.forget(request.taskId, request.gone)
    return { lease: await this.#makeFor(request, () => this.roster.check(request.roster)), created: true }
  }

  /**
   * What is known here of a task that is at home here by that roster.
   *
   * @throws {SlotpoolError} `ROSTER_CHANGED` when nothing is known and that roster is not in force.
   */
  lookUp(taskId: string, rosterId: string): AtHome {
    const lease = this.#byTask.get(taskId)
    if (lease) return { lease }
    const elsewhere = this.roster.find(taskId, undefined)
    if (!elsewhere) this.roster.check(rosterId)
    return { elsewhere }
  }

  /**
   * Notes down where a task gets its slot that is at home here. Resolves with what stands in the way: its lease here, or another note; with
   * neither when it is noted down.
   *
   * @throws {SlotpoolError} `ROSTER_CHANGED`.
   */
  async note({ roster, gone, ...where }: WhereaboutsRequest): Promise<AtHome> {
    for (;;) {
      const lease = this.#byTask.get(where.taskId)
      if (lease) return { lease }
      const underWay = this.#underWay(where.taskId)
      if (!underWay) break
      await underWay.catch(() => {})
    }
    this.roster.check(roster)
    const elsewhere = this.roster.find(where.taskId, gone)
    if (elsewhere && elsewhere.leaseId !== where.leaseId) return { elsewhere }
    this.roster.note(where)
    return { elsewhere: undefined }
  }

  /**
   * Takes a new roster, closed, and gives the leases that stand. Those that do not yet are ended: where they were to be noted down is decided
   * anew.
   *
   * @throws {SlotpoolError} `ROSTER_CHANGED` when it was not made from the one that is held here.
   */
  propose(proposal: RosterProposal): HeldLease[] {
    this.roster.propose(proposal)
    const all = this.all()
    for (const held of all) {
      if (!held.provisional) continue
      const ending = this.#end(held, 'the containers of the pool changed before it was confirmed')
      ending.catch((error) => this.#log.error({ err: error, leaseId: held.leaseId }, 'a provisional lease could not be ended'))
    }
    return all.filter((held) => !held.provisional)
  }

  /** @throws {SlotpoolError} `LEASE_LOST` when it ended, saying how, or was of another boot; `LEASE_NOT_FOUND` when it was never given. */
  get(leaseId: string): HeldLease {
    return this.#byId.get(leaseId) ?? this.#refuse(leaseId)
  }

  /** The lease of that id, if it stands. */
  find(leaseId: string): HeldLease | undefined {
    return this.#byId.get(leaseId)
  }

  #refuse(leaseId: string): never {
    const origin = this.#ids.originOf(leaseId)
    if (origin === 'none') {
      throw new SlotpoolError('LEASE_NOT_FOUND', `got lease ${leaseId}, which this sandbox server never gave`, { details: { leaseId } })
    }
    const how =
      origin === 'other-boot'
        ? 'the sandbox server was started anew since'
        : (this.#ended.get(leaseId) ?? 'it did so long ago that it is no longer known how')
    throw leaseLost(leaseId, how, origin === 'other-boot')
  }

  /** The lease that a task has here. */
  ofTask(taskId: string): HeldLease | undefined {
    return this.#byTask.get(taskId)
  }

  /** Turns a provisional lease into a lasting one. */
  confirm(leaseId: string): HeldLease {
    const held = this.get(leaseId)
    held.provisional = false
    this.touch(held)
    return held
  }

  renew(leaseId: string, ttlMs: number): HeldLease {
    const held = this.get(leaseId)
    held.ttlMs = ttlMs
    this.touch(held)
    return held
  }

  /** Notes that a lease was used now. */
  touch(held: HeldLease): void {
    held.lastUsedAtMs = this.#clock.now()
  }

  /** Keeps a lease from expiring while `work` goes on. */
  async use<T>(held: HeldLease, work: () => Promise<T>): Promise<T> {
    held.uses++
    this.#working++
    try {
      return await work()
    } finally {
      held.uses--
      this.touch(held)
      if (--this.#working === 0) this.#changes.emit('quiet')
    }
  }

  /** Ends a lease: every process of it is gone when this resolves. */
  async release(leaseId: string): Promise<void> {
    await this.#end(this.get(leaseId), 'it was released')
  }

  /**
   * Ends a lease that nobody has confirmed yet.
   *
   * @throws {SlotpoolError} `LEASE_CONTENDED` when somebody has: it stands then.
   */
  async releaseProvisional(leaseId: string): Promise<void> {
    const held = this.get(leaseId)
    if (!held.provisional) {
      throw new SlotpoolError('LEASE_CONTENDED', `lease ${leaseId} was confirmed by another that shares it`, { details: { leaseId } })
    }
    await this.#end(held, 'whoever asked for it gave way to another container')
  }

  /** Ends a lease whose one asker went away before it was answered. */
  async abandon(held: HeldLease): Promise<void> {
    if (!held.shared) await this.#end(held, 'whoever asked for it had gone')
  }

  /**
   * Ends all leases, for good: there will be no more. What runs under them fails with `LEASE_LOST`, since nobody asked for its end; when this
   * resolves, that is its outcome.
   */
  async releaseAll(why: string): Promise<void> {
    this.#closed = true
    this.#admission.end()
    await Promise.allSettled([...this.#making.values()])
    const running: Execution[] = []
    for (const held of this.all()) {
      for (const one of held.executions.values()) {
        if (one instanceof KeptExecution || one.outcome) continue
        running.push(one)
        // Told before the lease ends, by which all of them count as cancelled.
        one.abandon(leaseLost(held.leaseId, why))
      }
    }
    await Promise.allSettled([...this.all().map((held) => this.#end(held, why)), ...this.#ending.values()])
    await Promise.race([Promise.all(running.map(outcomeOf)), delay(outcomePatienceMs, undefined, { ref: false })])
  }

  /** The lease that a task has already, for another who asks for it. @throws {SlotpoolError} `LEASE_OWNER_MISMATCH`. */
  #join(request: CheckedLeaseRequest): HeldLease | undefined {
    if (this.#closed) this.#admission.check()
    const held = this.#byTask.get(request.taskId)
    if (!held) return undefined
    if (held.owner !== request.owner) throw ownerMismatch(request.taskId, held.owner, request.owner)
    // One who did not ask for a provisional lease has nobody to settle it with.
    if (!request.provisional) held.provisional = false
    held.ttlMs = request.ttlMs
    held.shared = true
    this.touch(held)
    return held
  }

  /** What has to be over before it is known whether a task has a lease. */
  #underWay(taskId: string): Promise<unknown> | undefined {
    return this.#making.get(taskId) ?? this.#ending.get(taskId)
  }

  /** From the check to the note that it is being made nothing else happens: a server that was retired meanwhile would be one with a lease. */
  async #makeFor(request: CheckedLeaseRequest, stillWanted: () => void = () => {}): Promise<HeldLease> {
    this.#admission.check()
    const making = this.#make(request, stillWanted).finally(() => {
      if (this.#making.get(request.taskId) === making) this.#making.delete(request.taskId)
      this.#peaks.note(this.#slots.inUse)
    })
    this.#making.set(request.taskId, making)
    this.#peaks.note(this.#slots.inUse)
    return making
  }

  async #make(request: CheckedLeaseRequest, stillWanted: () => void): Promise<HeldLease> {
    const slot = await this.#slots.take()
    try {
      stillWanted()
    } catch (error) {
      await this.#slots.giveBack(slot)
      throw error
    }
    const held = new HeldLease({
      leaseId: this.#ids.next(),
      taskId: request.taskId,
      owner: request.owner,
      metadata: request.metadata,
      slot,
      terms: this.#terms,
      ttlMs: request.ttlMs,
      provisional: request.provisional,
      nowMs: this.#clock.now(),
    })
    this.#making.delete(held.taskId)
    this.#byId.set(held.leaseId, held)
    this.#byTask.set(held.taskId, held)
    this.#expireInTime(held)
    void slot.jail.ended.then(() => {
      // Told before the lease ends, by which all of them count as cancelled.
      if (this.#byId.get(held.leaseId) === held) for (const one of held.executions.values()) one.abandon(jailEnded())
      return this.#end(held, 'its jail ended unexpectedly')
    })
    this.#log.info({ leaseId: held.leaseId, taskId: held.taskId, slot: slot.number }, 'leased')
    return held
  }

  /** One timer a lease, set for when it would expire if it were not used again. */
  #expireInTime(held: HeldLease): void {
    const nowMs = this.#clock.now()
    const dueInMs = held.uses > 0 ? held.ttlMs : held.expiresAtMs - nowMs
    // Looked at no more rarely than provisional leases expire, since a lease may have become due sooner than it was.
    this.#clock.after(Math.max(1, Math.min(dueInMs, 10_000)), () => {
      if (this.#byId.get(held.leaseId) !== held) return
      if (held.uses === 0 && this.#clock.now() >= held.expiresAtMs) {
        const why = held.provisional ? 'nobody confirmed it' : `it was not used for ${held.ttlMs / 1000} s`
        this.#end(held, why).catch((error) => this.#log.error({ err: error, leaseId: held.leaseId }, 'an expired lease could not be ended'))
      } else this.#expireInTime(held)
    })
  }

  async #end(held: HeldLease, why: string): Promise<void> {
    if (!this.#byId.delete(held.leaseId)) return this.#ending.get(held.taskId)
    this.#byTask.delete(held.taskId)
    this.#remember(held.leaseId, why)
    this.#onEnd(held)
    const ending = this.#slots.giveBack(held.slot).finally(() => this.#ending.delete(held.taskId))
    this.#ending.set(held.taskId, ending)
    this.#peaks.note(this.#slots.inUse)
    await ending
    this.#log.info({ leaseId: held.leaseId, taskId: held.taskId, slot: held.slot.number, why }, 'lease ended')
  }

  #remember(leaseId: string, why: string): void {
    this.#ended.set(leaseId, why)
    if (this.#ended.size > rememberedEnds) this.#ended.delete(this.#ended.keys().next().value as string)
  }
}

async function outcomeOf(execution: Execution): Promise<void> {
  while (!execution.outcome) await once(execution, 'progress')
}

function leaseLost(leaseId: string, how: string, restarted = false): SlotpoolError {
  return new SlotpoolError('LEASE_LOST', `lease ${leaseId} has ended: ${how}`, {
    details: { leaseId, ...(restarted ? { restarted } : {}) },
  })
}

function jailEnded(): SlotpoolError {
  return new SlotpoolError('JAIL_FAILED', 'the jail of this slot ended while the command ran', { retryable: false })
}

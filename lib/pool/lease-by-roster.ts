import type { SandboxClient } from '../client/sandbox-client.ts'
import { SlotpoolError } from '../errors.ts'
import { type Clock, systemClock } from '../sandbox/clock.ts'
import type { Lease } from '../wire/lease.ts'
import type { LeaseMetadata } from '../wire/metadata.ts'
import { ownerMismatch } from '../wire/owner-mismatch.ts'
import type { HomeAnswer, HomeLeaseRequest, Whereabouts } from '../wire/roster.ts'
import { type AgreedRoster, type Member, neverServed } from './agree-on-roster.ts'
import { askForSlot } from './ask-for-slot.ts'
import type { ReadyContainer } from './containers.ts'
import { homeOf, homeOrder } from './home-order.ts'
import { isLeaseGone } from './lease-gone.ts'
import { askBriefly, isUnreachable, type SilentContainer } from './silent-container.ts'
import { Vacancies } from './vacancies.ts'

/** So many containers are tried in an order of the task's own, in which it finds room soon unless the pool is nearly full. */
const triedInOrder = 3
/** So many are tried of those that had room when they were last heard of, before all are asked. */
const triedOfKnown = 8

const giveWayTimeoutMs = 5_000

/** A lease and the container it is in. */
export interface PlacedLease {
  at: ReadyContainer
  lease: Lease
  /** The home of its task, when that is another container: it keeps a note of the lease. */
  notedAt?: SandboxClient
}

/** The roster is not what it was taken for: it was refused, or a member of it could not be asked. */
export class RosterDoubted extends Error {
  readonly refusedBy: ReadyContainer | undefined
  readonly silent: SilentContainer | undefined

  constructor(why: { refusedBy: ReadyContainer } | { silent: SilentContainer }) {
    super('the roster was doubted')
    this.refusedBy = 'refusedBy' in why ? why.refusedBy : undefined
    this.silent = 'silent' in why ? why.silent : undefined
  }
}

/** How far a slot is looked for when the home is full. */
export interface Overflow {
  vacancies: Vacancies
  /** Whether all containers are asked when none of those that may have room has any. Who is told when one has some need not ask. */
  everywhere: boolean
}

/** What a task is asked for with. */
export interface TaskTerms {
  taskId: string
  owner: string
  lifetimeMs: number
  metadata: LeaseMetadata
}

/** The way to a task's slot by one roster. All of it throws {@link RosterDoubted} when that is not in force, or a container was silent. */
export class LeaseByRoster {
  readonly #roster: AgreedRoster
  readonly #terms: TaskTerms
  readonly #signal: AbortSignal
  readonly #clock: Clock
  readonly #home: Member

  constructor(roster: AgreedRoster, terms: TaskTerms, signal: AbortSignal, clock: Clock = systemClock) {
    this.#roster = roster
    this.#terms = terms
    this.#signal = signal
    this.#clock = clock
    this.#home = homeOf(terms.taskId, roster.members) as Member
  }

  /** Of the roster that it goes by. */
  get rosterId(): string {
    return this.#roster.id
  }

  /** The lease that a task has, whoever has it and wherever it is: its home knows. */
  async locate(): Promise<PlacedLease | undefined> {
    const { taskId } = this.#terms
    const at = reachable(this.#home)
    for (;;) {
      const { lease, elsewhere } = await this.#ask(this.#home, (either) => at.client.taskAtHome(taskId, this.#roster.id, either))
      if (lease) return { at, lease }
      if (!elsewhere) return undefined
      const noted = await this.#noted(elsewhere)
      if (noted) return noted
      await this.#ask(this.#home, (either) => at.client.forgetWhereabouts(taskId, elsewhere.leaseId, either))
    }
  }

  /** The lease that a task of this owner has, for another lifetime. @throws {SlotpoolError} `LEASE_OWNER_MISMATCH`. */
  async find(): Promise<PlacedLease | undefined> {
    const located = await this.locate()
    return located && this.#joined(located)
  }

  /**
   * The lease that a task has, or a new one: in its home, or when that is full, in another container, of which its home keeps note. Undefined
   * when all are full. `later` takes work that goes on when this gave up.
   *
   * @throws {SlotpoolError} `LEASE_OWNER_MISMATCH`.
   */
  async take(
    later: (work: Promise<void>) => void,
    overflow: Overflow = { vacancies: new Vacancies(), everywhere: true },
  ): Promise<PlacedLease | undefined> {
    let gone: string | undefined
    for (;;) {
      const answer = await this.#request(this.#home, { ...(gone === undefined ? {} : { gone }) }, later)
      let elsewhere: Whereabouts | null | undefined
      if (answer?.lease) return { at: reachable(this.#home), lease: answer.lease }
      if (answer) elsewhere = answer.elsewhere
      else {
        const other = await this.#takeElsewhere(gone, later, overflow)
        if (!other || 'at' in other) return other
        elsewhere = other.elsewhere
        // Its lease ended before it stood, or its task has come to have one at home meanwhile.
        if (!elsewhere) continue
      }
      const noted = elsewhere && (await this.#noted(elsewhere))
      const standing = noted && (await this.#joined(noted))
      if (standing) return standing
      gone = elsewhere?.leaseId
    }
  }

  /** The lease in the first other container that has a slot, or where the home says that the task is by now. */
  async #takeElsewhere(
    gone: string | undefined,
    later: (work: Promise<void>) => void,
    overflow: Overflow,
  ): Promise<PlacedLease | { elsewhere: Whereabouts | null } | undefined> {
    const { taskId, owner } = this.#terms
    const home = reachable(this.#home)
    for await (const member of this.#others(overflow)) {
      const answer = await this.#request(member, { provisional: true }, later).catch((error) => {
        // Whatever is there, the home knows of it: the next one will do.
        if (error instanceof RosterDoubted && error.silent) return undefined
        throw error
      })
      if (!answer?.lease) {
        overflow.vacancies.heard(member.id, 0)
        continue
      }
      const { lease } = answer
      const at = reachable(member)
      if (!lease.provisional) return { at, lease, notedAt: home.client }
      let told: HomeAnswer
      try {
        told = await this.#ask(this.#home, (either) =>
          home.client.noteWhereabouts(
            {
              ...{ roster: this.#roster.id, taskId, owner, containerId: member.id, leaseId: lease.leaseId },
              ...(gone === undefined ? {} : { gone }),
            },
            either,
          ),
        )
      } catch (error) {
        later(giveWay(at, lease))
        throw error
      }
      if (told.lease || told.elsewhere) {
        later(giveWay(at, lease))
        return { elsewhere: told.elsewhere }
      }
      const standing = await this.#standing({ at, lease, notedAt: home.client }).catch((error) => {
        later(giveWay(at, lease))
        throw error
      })
      return standing ?? { elsewhere: null }
    }
    return undefined
  }

  /** Other containers that may have room: some in an order of the task's own, those known to have had room of late, and those that say so. */
  async *#others({ vacancies, everywhere }: Overflow): AsyncGenerator<Member> {
    const { members } = this.#roster
    const tried = new Set([this.#home.id])
    if (everywhere) {
      for (const one of homeOrder(this.#terms.taskId, members, 1 + triedInOrder)) {
        if (tried.has(one.id)) continue
        tried.add(one.id)
        yield one
      }
    }
    yield* this.#known(vacancies, tried, triedOfKnown)
    const others = everywhere ? members.filter((one) => !tried.has(one.id)) : []
    if (others.length === 0) return
    const byId = new Map(others.map((one) => [one.id, one]))
    await vacancies.askAll([...byId.keys()], (id) => this.#idle(byId.get(id) as Member), this.#signal)
    yield* this.#known(vacancies, tried, Number.POSITIVE_INFINITY)
  }

  *#known(vacancies: Vacancies, tried: Set<string>, most: number): Generator<Member> {
    for (let count = 0; count < most; ) {
      const id = vacancies.claim(tried)
      if (id === undefined) return
      tried.add(id)
      const member = this.#roster.members.find((one) => one.id === id)
      if (member) {
        count++
        yield member
      } else vacancies.freed(id) // It is for who knows it as a member.
    }
  }

  /** How many idle slots a container has, for whoever asks; none where it could not be asked. */
  async #idle({ at }: Member): Promise<number> {
    if (!at) return 0
    return askBriefly((signal) => at.client.idle(0, signal), new AbortController().signal, this.#clock).catch(() => 0)
  }

  /** The lease that a home has noted down; undefined when it has ended. */
  async #noted(where: Whereabouts): Promise<PlacedLease | undefined> {
    const member = this.#roster.members.find((one) => one.id === where.containerId)
    const home = reachable(this.#home)
    // Its home knows of a container of which this roster does not.
    if (!member) throw new RosterDoubted({ refusedBy: home })
    const at = reachable(member)
    const lease = await this.#ask(member, (either) => at.client.leaseOfTask(where.taskId, either))
    return lease?.leaseId === where.leaseId ? { at, lease, notedAt: home.client } : undefined
  }

  /** The lease for another lifetime, and standing. Undefined when it has ended. @throws {SlotpoolError} `LEASE_OWNER_MISMATCH`. */
  async #joined(placed: PlacedLease): Promise<PlacedLease | undefined> {
    const { taskId, owner, lifetimeMs } = this.#terms
    const { at, lease } = placed
    if (lease.owner !== owner) throw ownerMismatch(taskId, lease.owner, owner)
    const renewed = await unlessGone(this.#askAt(at, (either) => at.client.renew(lease.leaseId, lifetimeMs, either)))
    return renewed?.provisional ? this.#standing(placed) : renewed && { ...placed, lease: renewed }
  }

  /** Makes a provisional lease that is noted down stand. Undefined when it has ended. */
  async #standing(placed: PlacedLease): Promise<PlacedLease | undefined> {
    const { at, lease } = placed
    const confirmed = await unlessGone(this.#askAt(at, (either) => at.client.confirm(lease.leaseId, either)))
    return confirmed && { ...placed, lease: confirmed }
  }

  /** Undefined when the container is full. */
  async #request(
    member: Member,
    more: Pick<HomeLeaseRequest, 'gone' | 'provisional'>,
    later: (work: Promise<void>) => void,
  ): Promise<HomeAnswer | undefined> {
    const { taskId, owner, lifetimeMs, metadata } = this.#terms
    const { client } = reachable(member)
    const request: HomeLeaseRequest = { taskId, owner, ttlMs: lifetimeMs, metadata, roster: this.#roster.id, ...more }
    try {
      return await this.#ask(member, (signal) => askForSlot(client, request, signal, later, this.#clock), this.#signal)
    } catch (error) {
      if (error instanceof SlotpoolError && error.code === 'SLOT_UNAVAILABLE') return undefined
      throw error
    }
  }

  #askAt<T>(at: ReadyContainer, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return this.#ask({ id: at.container.id, node: at.container.node, at, hash: 0 }, ask)
  }

  /** With `signal`, `ask` sees by itself to it that it takes not too long. */
  async #ask<T>(member: Member, ask: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    try {
      return signal ? await ask(signal) : await askBriefly(ask, this.#signal, this.#clock)
    } catch (error) {
      if (isUnreachable(error)) throw new RosterDoubted({ silent: { id: member.id, node: member.node, error } })
      if (error instanceof SlotpoolError && error.code === 'ROSTER_CHANGED') throw new RosterDoubted({ refusedBy: reachable(member) })
      throw error
    }
  }
}

/** The connection to a member. */
function reachable(member: Member): ReadyContainer {
  if (member.at) return member.at
  throw new RosterDoubted({ silent: neverServed(member) })
}

/** Ends a lease unless somebody has confirmed it, who may be using it by now. If it cannot be ended it ends by itself. */
async function giveWay(at: ReadyContainer, lease: Lease): Promise<void> {
  await at.client.releaseProvisional(lease.leaseId, AbortSignal.timeout(giveWayTimeoutMs)).catch(() => {})
}

async function unlessGone<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked
  } catch (error) {
    if (isLeaseGone(error)) return undefined
    throw error
  }
}

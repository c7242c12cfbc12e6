import { randomUUID } from 'node:crypto'
import { SlotpoolError } from '../errors.ts'
import type { Clock } from '../sandbox/clock.ts'
import type { Roster, Whereabouts } from '../wire/roster.ts'
import type { Containers, Look, ReadyContainer } from './containers.ts'
import { type Home, homeHash, homeOf } from './home-order.ts'
import { pause } from './pause.ts'
import { askBriefly, isUnreachable, type SilentContainer } from './silent-container.ts'

/** How long another manager may take from proposing a roster until it is open everywhere, however few the containers are. */
const patienceMs = 250

/** A container in which tasks are at home. */
export interface Member extends Home {
  id: string
  node: string
  /** Missing when it never served this process: it was silent all the while. */
  at: ReadyContainer | undefined
}

/** The containers among which each task has its home, as all of them were told. */
export interface AgreedRoster {
  id: string
  number: number
  /** In the order in which all managers know them. */
  members: readonly Member[]
}

/** What came of asking for the roster. Without containers there is none; `silent` ones are left out of it, or kept it from changing. */
export interface Agreement {
  roster: AgreedRoster | undefined
  silent: readonly SilentContainer[]
}

/** The newest roster that this process has seen: no container has to tell it who its members are once more. */
export interface SeenRoster {
  newest?: Roster
}

interface Answer {
  at: ReadyContainer
  roster: Roster | null
}

/**
 * The roster in force, as one container says it; undefined when it is not one of exactly the containers that there are, or no newer than
 * `newerThan`.
 */
export async function rosterInForce(
  containers: Containers,
  asked: ReadyContainer | undefined,
  newerThan: number,
  signal: AbortSignal,
  seen: SeenRoster = {},
): Promise<AgreedRoster | undefined> {
  const look = await containers.look(signal)
  const at = look.ready.find((one) => one.container.id === asked?.container.id) ?? look.ready[0]
  if (!at) return undefined
  const roster = await rosterOf(at, signal, containers.clock, seen)
  if (roster instanceof SlotpoolError || !roster?.open || roster.number <= newerThan || !allLive(roster, look)) return undefined
  const members = new Set(roster.containers)
  return look.ready.every((one) => members.has(one.container.id)) ? agreed(roster, look) : undefined
}

/** For so many pauses a pool without any roster is waited for to have all of its containers ready. */
const mostLooksForUnheard = 20
const unheardPauseMs = 250

/**
 * Makes all containers have one roster, of all that live.
 *
 * Every container is told the new roster before it opens anywhere, and from then on no lease comes to stand there under an earlier one. All
 * leases that stand are known by then, so a home that opens knows of each task of its own where it is. Whoever was asked under the earlier
 * roster is refused. A container takes a roster only in the place of the one that its proposer saw there, of which all members that live are
 * in the new one: so none with leases is ever left out. A manager that dies in the middle leaves a closed roster; the next one to come
 * replaces it.
 */
export async function agreeOnRoster(containers: Containers, signal: AbortSignal, seen: SeenRoster = {}): Promise<Agreement> {
  const { clock } = containers
  const wait = new Patience(clock)
  let looks = 0
  for (;;) {
    const askedAtMs = clock.now()
    const look = await containers.look(signal)
    const { answers, top, known, silent: all } = await survey(look, signal, clock, seen)
    const tookMs = clock.now() - askedAtMs
    if (answers.length === 0) return { roster: undefined, silent: all }
    // Where nobody has a roster yet, the only one that has may be silent for a moment, with all leases, and looks like one that starts.
    if (!top && looks++ < mostLooksForUnheard && someUnheard(look)) {
      await pause(clock, unheardPauseMs, signal)
      if (signal.aborted) throw new SlotpoolError('CANCELLED', 'gave up waiting for a container', { cause: signal.reason })
      continue
    }
    // One that was never a member has no leases: it is a member once it answers.
    const silent = top ? all.filter((one) => known.has(one.id)) : all
    const stands = top && answers.every((one) => inForce(one, top) || !known.has(one.at.container.id))
    const whole = stands && silent.length === 0 && allLive(top, look) && answers.every((one) => known.has(one.at.container.id))
    if (whole) return { roster: agreed(top, look), silent: all }
    const underWay = top && answers.some(({ roster }) => roster?.id === top.id && !roster.open)
    if (underWay && (await wait.forOther(top.id, tookMs, signal))) continue
    // One that lives may have leases that nobody else knows of. Until it answers, or is dead, the roster stays as it is.
    if (silent.length > 0) return { roster: stands ? agreed(top, look) : undefined, silent }
    // Another manager may have found containers that were not there yet when these were listed.
    if (await newerThan(look, known, containers, signal)) continue
    const made = await makeRoster(answers, (top?.number ?? 0) + 1, signal, clock)
    if (made) {
      seen.newest = made
      return { roster: agreed(made, look), silent: all }
    }
    await wait.afterDefeat(tookMs, signal)
  }
}

function someUnheard({ all, served }: Look): boolean {
  return all.some(({ id, state }) => state === 'starting' && !served.some((one) => one.container.id === id))
}

/** Whether some of those containers were not listed, and live. */
async function newerThan({ all }: Look, known: ReadonlySet<string>, containers: Containers, signal: AbortSignal): Promise<boolean> {
  const listed = new Set(all.map((one) => one.id))
  const unlisted = [...known].filter((id) => !listed.has(id))
  if (unlisted.length === 0) return false
  const now = await containers.look(signal)
  return now.all.some((one) => one.state !== 'dead' && unlisted.includes(one.id))
}

const inForce = ({ roster }: Answer, top: Roster): boolean => roster?.id === top.id && roster.open

function allLive(roster: Roster, { all }: Look): boolean {
  const live = new Set(all.filter((one) => one.state !== 'dead').map((one) => one.id))
  return roster.containers.every((id) => live.has(id))
}

function agreed({ id, number, containers }: Roster, { all, served }: Look): AgreedRoster {
  const byId = new Map(served.map((one) => [one.container.id, one]))
  const nodes = new Map(all.map((one) => [one.id, one.node]))
  const members = containers.map((id) => ({ id, node: nodes.get(id) ?? 'a node that is gone', at: byId.get(id), hash: homeHash(id) }))
  return { id, number, members }
}

/** What the containers say of their roster. */
interface Survey {
  answers: Answer[]
  /** The newest of their rosters. */
  top: Roster | undefined
  /** The members of all of them. */
  known: ReadonlySet<string>
  /** Those that did not answer, members that never served this process among them. */
  silent: SilentContainer[]
}

async function survey({ all, served }: Look, signal: AbortSignal, clock: Clock, seen: SeenRoster): Promise<Survey> {
  const answers: Answer[] = []
  const silent: SilentContainer[] = []
  await Promise.all(
    served.map(async (at) => {
      const roster = await rosterOf(at, signal, clock, seen)
      if (roster instanceof SlotpoolError) silent.push({ id: at.container.id, node: at.container.node, error: roster })
      else answers.push({ at, roster })
    }),
  )
  answers.sort((a, b) => a.at.container.index - b.at.container.index)
  const rosters = new Map(answers.flatMap(({ roster }) => (roster ? [[roster.id, roster] as const] : [])))
  const [top] = [...rosters.values()].sort((a, b) => b.number - a.number)
  const known = new Set([...rosters.values()].flatMap((one) => one.containers))
  const asked = new Set(served.map((one) => one.container.id))
  const never = all.filter((one) => one.state !== 'dead' && known.has(one.id) && !asked.has(one.id))
  return { answers, top, known, silent: [...silent, ...never.map(neverServed)] }
}

/** A container that lives, has served others, and never this process. */
export function neverServed({ id, node, reason }: { id: string; node: string; reason?: string }): SilentContainer {
  return { id, node, error: new SlotpoolError('SERVER_UNREACHABLE', reason ?? 'it is not ready') }
}

async function rosterOf(
  { client }: ReadyContainer,
  signal: AbortSignal,
  clock: Clock,
  seen: SeenRoster,
): Promise<Roster | null | SlotpoolError> {
  try {
    const known = seen.newest
    const roster = await askBriefly((either) => client.roster(either, known), signal, clock)
    if (roster && roster.number > (seen.newest?.number ?? 0)) seen.newest = roster
    return roster
  } catch (error) {
    if (isUnreachable(error)) return error
    throw error
  }
}

/** Undefined when another manager was faster, or a container went away meanwhile. A proposal is sent once: none is taken twice. */
async function makeRoster(answers: readonly Answer[], number: number, signal: AbortSignal, clock: Clock): Promise<Roster | undefined> {
  const containers = answers.map(({ at }) => at.container.id).sort()
  const roster = { id: randomUUID(), number, containers, open: true }
  const changeOf = changesTo(containers)
  const members = answers.map(({ at, roster }) => {
    const { id } = at.container
    return { id, hash: homeHash(id), at, replaces: roster?.id ?? null, change: changeOf(roster) }
  })
  const inOrder = containers.map((id) => members.find((one) => one.id === id) as (typeof members)[number])
  try {
    const standing: Whereabouts[] = []
    const propose = async ({ id, at, replaces, change }: (typeof members)[number]): Promise<void> => {
      const proposal = { id: roster.id, number, replaces, ...change }
      const leases = await askBriefly((either) => at.client.proposeRoster(proposal, either), signal, clock)
      for (const lease of leases) standing.push({ ...lease, containerId: id })
    }
    const [first, ...others] = members as [(typeof members)[number], ...typeof members]
    // The lowest is asked alone: of several managers at work one gets on.
    await propose(first)
    await Promise.all(others.map(propose))
    const elsewhere = new Map<string, Whereabouts[]>(containers.map((id) => [id, []]))
    for (const where of standing) {
      const home = homeOf(where.taskId, inOrder)
      if (home && home.id !== where.containerId) elsewhere.get(home.id)?.push(where)
    }
    const open = ({ id, at }: (typeof members)[number]): Promise<void> =>
      askBriefly((either) => at.client.openRoster({ id: roster.id, whereabouts: elsewhere.get(id) ?? [] }, either), signal, clock)
    await Promise.all(members.map(open))
    return roster
  } catch (error) {
    if (isUnreachable(error) || (error instanceof SlotpoolError && error.code === 'ROSTER_CHANGED')) return undefined
    throw error
  }
}

/** What makes those members out of the ones of another roster; most containers have the same one. */
function changesTo(members: readonly string[]): (from: Roster | null) => { added: string[]; gone: string[] } {
  const now = new Set(members)
  const changes = new Map<string | undefined, { added: string[]; gone: string[] }>()
  return (from) => {
    let change = changes.get(from?.id)
    if (!change) {
      const before = new Set(from?.containers)
      change = { added: members.filter((id) => !before.has(id)), gone: [...before].filter((id) => !now.has(id)) }
      changes.set(from?.id, change)
    }
    return change
  }
}

/** How long a manager leaves the field to others, longer the longer it takes to ask all containers, and never for the same time as they. */
class Patience {
  readonly #clock: Clock
  #rosterId: string | undefined
  #untilMs = 0
  #defeats = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** False when the other took so long that it must have died. */
  async forOther(rosterId: string, tookMs: number, signal: AbortSignal): Promise<boolean> {
    const nowMs = this.#clock.now()
    if (this.#rosterId !== rosterId) {
      this.#rosterId = rosterId
      this.#untilMs = nowMs + Math.max(patienceMs, 10 * tookMs) * (1 + Math.random())
    }
    if (nowMs > this.#untilMs) return false
    await this.#pause(Math.max(5, tookMs), signal)
    return true
  }

  async afterDefeat(tookMs: number, signal: AbortSignal): Promise<void> {
    this.#defeats = Math.min(6, this.#defeats + 1)
    await this.#pause(Math.random() * Math.max(5, tookMs) * 2 ** this.#defeats, signal)
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    await pause(this.#clock, ms, signal)
    if (signal.aborted) throw new SlotpoolError('CANCELLED', 'gave up asking for the roster of the pool', { cause: signal.reason })
  }
}

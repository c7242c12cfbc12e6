import type { Container } from '../backend/backend.ts'
import { earlierContainers, isEarlier, newestOf } from '../backend/pool-version.ts'
import { SlotpoolError } from '../errors.ts'
import type { Clock } from '../sandbox/clock.ts'
import { longestLoadWindowMs } from '../wire/load.ts'
import type { Containers, Look, ReadyContainer } from './containers.ts'
import { Health } from './health.ts'
import { removeInTime } from './remove-in-time.ts'
import { givesLeases } from './roll-plan.ts'
import { type ContainerState, type PoolNeeds, planScale } from './scale-plan.ts'

/** Between two looks: a fifth of the idleness after which containers go, within these. */
const shortestPauseMs = 1_000
const longestPauseMs = 15_000
/** In a large pool so long for each container: a look asks all of them. Less than the minute for which servers remember what a manager wants kept. */
const pauseOfEachMs = 100
const longestInLargePoolMs = 50_000

/** Between two times that all containers are asked whether they were drained, and so much for each of them in a large pool. */
const wantPauseMs = 1_000
const wantPauseOfEachMs = 20

/** What is drained stays so for three times as many looks, and is told again when so many are left. */
const drainedPauses = 2

export interface ScalerOptions {
  containers: Containers
  /** Containers that were not needed for so long go. */
  idleMs: number
  /** A container that gave no answer for so long, and for no less than any lease lives that it was heard of, is given up: its leases have expired. */
  giveUpSilentMs: number
  needs: () => Omit<PoolNeeds, 'giveUpSilentMs'>
  grow: (count: number) => Promise<void>
  /** Told of each container that was removed, with why. */
  onRemoved: (id: string, why: RemovalReason) => void
  /** Told of each container that could not be removed; it is tried again. */
  onStuck: (id: string, error: SlotpoolError) => void
  clock: Clock
}

/** Why a container was removed: it was not needed, slots of it were out of service, it was silent for too long, or of an earlier version of the pool. */
export type RemovalReason = 'idle' | 'worn' | 'silent' | 'changed'

/**
 * Looks after the containers of a pool for as long as this process has it open: sends away what is not needed, replaces what is worn out, of an earlier
 * version or does not answer, and heals what is missing. Every manager of a pool does so; what one has begun another ends.
 */
export class Scaler {
  readonly #options: ScalerOptions
  readonly #health: Health
  readonly #closed = new AbortController()
  #stopTimer: () => void = () => {}
  #looking: Promise<void> | undefined
  #started = false
  /** How many containers there were at the last look. */
  #served = 0
  #wantedAtMs = Number.NEGATIVE_INFINITY
  #failure: SlotpoolError | undefined
  /** Of those that this process drained, for how long they were told to be. */
  readonly #drainedUntilMs = new Map<string, number>()

  constructor(options: ScalerOptions) {
    this.#options = options
    this.#health = new Health(options.clock)
  }

  /** Begins to look after the pool. What it does keeps no process alive. */
  start(): void {
    if (this.#started || this.#closed.signal.aborted) return
    this.#started = true
    this.#lookLater()
  }

  /** Why a container could not be removed at the last look; undefined when all could. */
  get failure(): SlotpoolError | undefined {
    return this.#failure
  }

  /** Looks once, and does what is to be done. One look at a time. */
  look(): Promise<void> {
    this.#looking ??= this.#lookOnce().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  /** Has drained containers serve again, since somebody waits; resolves with whether there were any. Many may ask: they are asked once in a while. */
  async wantAll(ready: readonly ReadyContainer[], signal: AbortSignal): Promise<boolean> {
    const nowMs = this.#options.clock.now()
    if (nowMs < this.#wantedAtMs + Math.max(wantPauseMs, ready.length * wantPauseOfEachMs)) return false
    return this.wantAllNow(ready, signal)
  }

  /** The same, however lately they were asked: before the pool is made larger. */
  async wantAllNow(ready: readonly ReadyContainer[], signal: AbortSignal): Promise<boolean> {
    this.#wantedAtMs = this.#options.clock.now()
    const loads = await this.#health.ask(ready, { withinMs: 0, keep: 0 }, signal)
    const { max, stuck } = this.#options.needs()
    const giving = ready.filter(({ container: { id } }) => givesLeases(loads.get(id))).length
    // What makes room for a newer version serves again only where there are too few without it, and no more can be made.
    const isWanted = giving < max && (ready.length > max || stuck)
    const kept = isWanted ? [] : earlierContainers(ready.map((one) => one.container))
    const drained = ready.filter(({ container }) => loads.get(container.id)?.state === 'draining' && !kept.includes(container))
    const back = await Promise.all(drained.map(({ client }) => client.setDraining(false, 1_000, signal).catch(() => undefined)))
    return back.some((load) => load?.state === 'serving')
  }

  async close(): Promise<void> {
    this.#closed.abort()
    this.#stopTimer()
    await this.#looking
  }

  get #pauseMs(): number {
    const usual = Math.min(longestPauseMs, Math.max(shortestPauseMs, this.#options.idleMs / 5))
    return Math.max(usual, Math.min(longestInLargePoolMs, this.#served * pauseOfEachMs))
  }

  #lookLater(): void {
    this.#stopTimer = this.#options.clock.after(this.#pauseMs, () => {
      void this.look().then(() => {
        if (!this.#closed.signal.aborted) this.#lookLater()
      })
    })
  }

  /** Never rejects: what could not be done is tried again at the next look. */
  async #lookOnce(): Promise<void> {
    const { signal } = this.#closed
    const { containers, needs, idleMs } = this.#options
    this.#failure = undefined
    try {
      const look = await containers.look(signal)
      const { served } = look
      this.#served = served.length
      await this.#removeEnded(look)
      const own = needs()
      const loads = await this.#health.ask(
        served,
        { withinMs: Math.min(idleMs, longestLoadWindowMs), keep: own.active ? own.min : 0 },
        signal,
      )
      const states = served.map(({ container: { id, index, version } }): ContainerState => {
        return { id, index, version, load: loads.get(id), silentForMs: this.#health.silentForMs(id) }
      })
      // What another manager wants kept is kept.
      const min = Math.max(own.min, ...[...loads.values()].map((load) => load.keep))
      const giveUpSilentMs = Math.max(this.#options.giveUpSilentMs, this.#health.longestTtlMs)
      await this.#carryOut(planScale(states, { ...own, min, giveUpSilentMs }), served, loads)
    } catch {
      // The backend could not be asked, or the pool is being closed.
    }
  }

  /** What ended of an earlier version is not made again, so that nobody else would come to remove it. */
  async #removeEnded({ all }: Look): Promise<void> {
    const newest = newestOf(all)
    if (!newest) return
    for (const one of all) {
      if (one.state === 'dead' && !one.ending && one.version && isEarlier(one.version, newest)) {
        await this.#remove(one)
      }
    }
  }

  /** Resolves with whether it is gone. One that does not go keeps nothing else from being done. */
  async #remove(container: Container): Promise<boolean> {
    const { signal } = this.#closed
    try {
      await removeInTime(this.#options.containers, container, signal)
      return true
    } catch (error) {
      if (signal.aborted) throw error
      this.#failure = SlotpoolError.from(error)
      this.#options.onStuck(container.id, this.#failure)
      return false
    }
  }

  async #carryOut(
    plan: ReturnType<typeof planScale>,
    served: readonly ReadyContainer[],
    loads: Awaited<ReturnType<Health['ask']>>,
  ): Promise<void> {
    const { signal } = this.#closed
    const { grow, onRemoved } = this.#options
    const each = (ids: readonly string[], work: (one: ReadyContainer) => Promise<unknown>): Promise<unknown> => {
      const chosen = served.filter(({ container }) => ids.includes(container.id))
      return Promise.all(chosen.map((one) => work(one).catch(() => {})))
    }
    await each(plan.serve, ({ client }) => client.setDraining(false, 1_000, signal))
    const nowMs = this.#options.clock.now()
    const goneBy = nowMs + drainedPauses * this.#pauseMs
    // It ends by itself, should this process not come to say so again; that is not said at each look.
    const ending = plan.drain.filter((id) => loads.get(id)?.state !== 'draining' || (this.#drainedUntilMs.get(id) ?? 0) < goneBy)
    await each(ending, async ({ client, container }) => {
      const ttlMs = 3 * drainedPauses * this.#pauseMs + 5_000
      await client.setDraining(true, ttlMs, signal)
      this.#drainedUntilMs.set(container.id, nowMs + ttlMs)
    })
    for (const id of this.#drainedUntilMs.keys()) if (!plan.drain.includes(id)) this.#drainedUntilMs.delete(id)
    const remove = [...plan.remove]
    await each(plan.retire, async ({ client, container }) => {
      if ((await client.retire(signal)).retired) remove.push(container.id)
    })
    const earlier = new Set(earlierContainers(served.map((one) => one.container)).map((one) => one.id))
    // One after the other, the highest first: so does Nomad.
    for (const { container } of served.filter((one) => remove.includes(one.container.id)).reverse()) {
      if (!(await this.#remove(container))) {
        if (this.#options.needs().highestOnly) break
        continue
      }
      const load = loads.get(container.id)
      const usual = earlier.has(container.id) ? 'changed' : 'idle'
      onRemoved(container.id, load === undefined ? 'silent' : load.outOfService > 0 ? 'worn' : usual)
    }
    if (plan.grow !== undefined && !signal.aborted) await grow(plan.grow)
  }
}

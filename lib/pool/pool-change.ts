import { inspect } from 'node:util'
import type { Backend } from '../backend/backend.ts'
import { earlierContainers, newestOf } from '../backend/pool-version.ts'
import type { Notice } from '../backend/provider.ts'
import type { Config } from '../config.ts'
import { SlotpoolError } from '../errors.ts'
import type { Clock } from '../sandbox/clock.ts'
import type { Containers } from './containers.ts'
import type { Growth } from './growth.ts'
import { pause } from './pause.ts'
import type { PoolStatus } from './pool-status.ts'
import type { Scaler } from './scaler.ts'
import { changedShape, shapeDifference } from './shape-difference.ts'
import { turnOrAbort } from './waiting-line.ts'

/** How often a change of the pool is looked at by who waits for it, and so much for each container of a large pool. */
const pauseMs = 500
const pauseOfEachMs = 20

/** What happens where the pool runs with something else than is asked for. */
export type Change = 'refuse' | 'roll' | 'force'

export interface PoolChangeOptions {
  config: Config
  backend: Backend
  containers: Containers
  scaler: Scaler
  growth: Growth
  clock: Clock
  onNotice: Notice
}

/** What a pool runs with, beside what this process asks for and what somebody changed by hand. */
export class PoolChange {
  readonly #options: PoolChangeOptions
  #lastByHand = ''
  /** The generation that this process had the pool changed to. */
  #changedTo: number | undefined

  constructor(options: PoolChangeOptions) {
    this.#options = options
  }

  /**
   * Only what somebody asked for can differ: a caller that names nothing takes the pool as it is.
   *
   * @throws {SlotpoolError} `POOL_CONFIG_MISMATCH`; what the backend's `roll` throws.
   */
  async check(change: Change, signal: AbortSignal | undefined): Promise<void> {
    const { config, backend } = this.#options
    await backend.check?.(config)
    const [shape] = await Promise.all([backend.shape(signal), this.noteByHand(signal)])
    if (!shape) return
    if (change !== 'refuse' && backend.roll) {
      await backend.roll(changedShape(config, shape), { force: change === 'force', signal })
      this.#changedTo = newestOf(await backend.list(signal))?.generation
      return
    }
    const difference = shapeDifference(config, shape)
    if (!difference) return
    const { option, running, got } = difference
    const version = newestOf(await backend.list(signal))
    const since = version && version.generation > 0 ? ` since it was changed to version ${version.id}` : ''
    throw new SlotpoolError(
      'POOL_CONFIG_MISMATCH',
      `pool ${config.pool} runs with ${option} ${running}${since}, got ${got}; \`slotpool up --roll\` changes it container by container`,
      { details: { option, running, got, ...(version ? { version: version.id } : {}) } },
    )
  }

  /** Looks after a pool that is being changed until no container of an earlier version is left, and none was changed further by another process. */
  async finish(
    statusOf: (signal: AbortSignal) => Promise<PoolStatus>,
    { signal = new AbortController().signal, onProgress = () => {} }: { signal?: AbortSignal; onProgress?: (status: PoolStatus) => void },
  ): Promise<void> {
    const { containers, scaler, growth, clock } = this.#options
    for (let last = ''; ; ) {
      const status = await statusOf(signal)
      const seen = JSON.stringify(status.containers.map(({ id, state, slots }) => [id, state, slots.map((slot) => slot.lease_id)]))
      if (seen !== last) onProgress(status)
      last = seen
      if (!status.containers.some((one) => one.earlier)) {
        const { generation = 0 } = newestOf((await containers.look(signal)).all) ?? {}
        if (generation >= (this.#changedTo ?? 0)) break
        // All that there was of the new version died.
        await this.check('roll', signal)
      }
      await turnOrAbort(scaler.look(), signal)
      for (const { failure } of [growth, scaler]) if (failure && !failure.retryable) throw failure
      const { all } = await containers.look(signal)
      if (earlierContainers(all).length > 0) await pause(clock, Math.max(pauseMs, all.length * pauseOfEachMs), signal)
      if (signal.aborted) throw new SlotpoolError('CANCELLED', 'gave up waiting for the change of the pool', { cause: signal.reason })
    }
    await this.check('refuse', signal)
  }

  /** What somebody changed by hand; nothing where it cannot be told: to see it may take rights that using the pool does not. */
  async byHand(signal: AbortSignal | undefined): Promise<string[]> {
    return (await this.#options.backend.changedByHand?.(signal).catch(() => [])) ?? []
  }

  /** Tells of it, once for each change. */
  async noteByHand(signal: AbortSignal | undefined): Promise<void> {
    const { config, onNotice } = this.#options
    const notice = (await this.byHand(signal)).join('; ')
    if (notice !== '' && notice !== this.#lastByHand) {
      onNotice(`slotpool: pool ${config.pool} was changed by hand, and stays so: ${notice}`)
    }
    this.#lastByHand = notice
  }
}

/** @throws {SlotpoolError} `CONFIG_INVALID`. */
export function checkChange(change: unknown): void {
  if (change === undefined || change === 'refuse' || change === 'roll' || change === 'force') return
  throw new SlotpoolError('CONFIG_INVALID', `option change: got ${inspect(change)}, expected refuse, roll or force`, {
    details: { variable: 'change', got: inspect(change) },
  })
}

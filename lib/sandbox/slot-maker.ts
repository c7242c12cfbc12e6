import { join } from 'node:path'
import { type LimitsInForce, noLimits } from '../wire/limits.ts'
import type { Jail, JailKind } from './jail/jail.ts'
import type { ControlGroups } from './limits/control-groups.ts'
import { DiskWatch } from './limits/disk-watch.ts'
import { SlotBounds } from './slot-bounds.ts'

/** A slot made ready for one lease: its number, and the jail and folders that only this lease will ever see. */
export interface Slot {
  number: number
  jail: Jail
  bounds: SlotBounds
}

export interface SlotMakerOptions {
  kind: JailKind
  /** The folder in which slots have theirs. */
  folder: string
  /** The limits that hold for each slot. Default: none. */
  limits?: LimitsInForce
  /** The server's control groups. Default: there are none. */
  groups?: ControlGroups | null
  /** Called with each slot that was made, before anybody has it. */
  onMade?: (slot: Slot) => void
}

/** A slot that could not be made, and of which something lives. */
export class StillAlive extends Error {
  constructor(cause: unknown) {
    super((cause as Error).message, { cause })
  }
}

/** Makes slots, and takes away what is left of them. */
export class SlotMaker {
  readonly #kind: JailKind
  readonly #folder: string
  readonly #limits: LimitsInForce
  readonly #groups: ControlGroups | null
  readonly #onMade: ((slot: Slot) => void) | undefined
  #generation = 0

  constructor(options: SlotMakerOptions) {
    this.#kind = options.kind
    this.#folder = options.folder
    this.#limits = options.limits ?? noLimits
    this.#groups = options.groups ?? null
    this.#onMade = options.onMade
  }

  /** A folder that no slot has had. */
  newFolder(number: number): string {
    return join(this.#folder, `${number}-${this.#generation++}`)
  }

  /**
   * Makes a slot in its folder, of a jail that is there already or of a new one. Of one that cannot be made nothing lives.
   *
   * @throws what kept it from being made; {@link StillAlive} when that could not be ended.
   */
  async make(number: number, root: string, made?: Jail): Promise<Slot> {
    const jail = made ?? (await this.#kind.make(number, root))
    const bounds = await this.#bounds(number, root, jail).catch(async (error) => {
      await jail.end().catch((alive) => {
        throw new StillAlive(alive)
      })
      throw error
    })
    const slot = { number, jail, bounds }
    this.#onMade?.(slot)
    return slot
  }

  /** Ends a slot with all that it had. Resolves when none of its processes, networks and groups is left. */
  async end({ jail, bounds }: Slot): Promise<void> {
    await jail.end()
    await bounds.end()
  }

  /** Deletes what a slot that has ended left in its folder. */
  wipe(root: string): Promise<void> {
    return this.#kind.wipe(root)
  }

  async #bounds(number: number, root: string, jail: Jail): Promise<SlotBounds> {
    const counted = (name: 'memoryBytes' | 'processes' | 'cpuWeight'): number | null => {
      const limit = this.#limits[name]
      return limit?.by === 'cgroup' ? limit.value : null
    }
    const limits = { memoryBytes: counted('memoryBytes'), processes: counted('processes'), cpuWeight: counted('cpuWeight') }
    const maxBytes = this.#limits.diskBytes?.value
    const disk = maxBytes === undefined ? null : new DiskWatch({ folders: [root], maxBytes, holders: () => jail.processes() })
    return new SlotBounds({ limits: this.#limits, group: (await this.#groups?.slot(number, limits)) ?? null, disk })
  }
}

import { type BaseGroup, makeBaseGroup } from './base-group.ts'
import { findHierarchies, type Hierarchy } from './hierarchies.ts'
import { ownedName } from './owned-name.ts'
import { type GroupLimits, SlotGroup } from './slot-group.ts'
import { tryGroup } from './try-group.ts'

/** What control groups can do for a slot: bound its memory and its processes, weigh its use of the processors, end its processes. */
export type GroupController = 'memory' | 'processes' | 'cpu' | 'kill'

/** The kernel's names of the controllers that bound something. */
const limiting = { memory: 'memory', processes: 'pids', cpu: 'cpu' } as const

/** The control groups of one server: one for each slot, and in it one for each execution. They are below the server's own group. */
export class ControlGroups {
  readonly controllers: ReadonlySet<GroupController>
  readonly #bases: readonly BaseGroup[]
  readonly #killable: BaseGroup | undefined
  #slots = 0

  private constructor(bases: readonly BaseGroup[], killable: BaseGroup | undefined, controllers: ReadonlySet<GroupController>) {
    this.#bases = bases
    this.#killable = killable
    this.controllers = controllers
  }

  /**
   * Finds what this process may do with control groups, by trying. Groups that a killed server left are removed.
   *
   * @param options.root Where control groups are mounted; default `/sys/fs/cgroup`.
   * @param options.alone When this process has no children that come and go. On version 2 it is waited for, since there they are moved.
   *   Default: now.
   * @returns the groups, or why there are none. Never throws for what the machine lacks.
   */
  static async open(options: { root?: string; alone?: Promise<unknown> } = {}): Promise<{ groups: ControlGroups } | { reason: string }> {
    const hierarchies = await findHierarchies(options.root)
    const name = await ownedName()
    const tried = [...useful(hierarchies)]
    if (tried.some(({ version }) => version === 2)) await options.alone
    const attempts = tried.map((hierarchy) => makeBaseGroup(hierarchy, name, Object.values(limiting)))
    const made = await Promise.allSettled(attempts)
    const bases = made.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    const failures = made.flatMap((one) => (one.status === 'rejected' ? [(one.reason as Error).message.trim()] : []))
    const killable = bases.find(({ hierarchy }) => canKill(hierarchy))
    const used = bases.filter((base) => base === killable || bounds(base).length > 0)
    const controllers = new Set<GroupController>([...used.flatMap(bounds), ...(killable ? (['kill'] as const) : [])])
    const groups = new ControlGroups(bases, killable, controllers)
    try {
      if (controllers.size === 0) throw new Error(failures.join('; ') || 'no hierarchy of control groups is mounted')
      await tryGroup(groups)
      return { groups }
    } catch (error) {
      await groups.close().catch(() => {})
      return { reason: (error as Error).message }
    }
  }

  /** Makes the groups of a slot. @throws {SlotpoolError} `JAIL_FAILED`; no group is left then. */
  slot(slot: number, limits: GroupLimits): Promise<SlotGroup> {
    const used = this.#bases.filter((base) => base === this.#killable || bounds(base).length > 0)
    return SlotGroup.make(used, this.#killable, `slot-${slot}-${this.#slots++}`, limits)
  }

  /**
   * Ends every process in them and removes all groups.
   *
   * @throws {SlotpoolError} `JAIL_FAILED` when some are still there after ten seconds.
   */
  async close(): Promise<void> {
    const ends = [this.#killable, ...this.#bases.filter((base) => base !== this.#killable)]
    for (const base of ends) await base?.close()
  }
}

/** Of the hierarchies, one for each controller, and one that can end what is in a group. */
function useful(hierarchies: readonly Hierarchy[]): Set<Hierarchy> {
  // The freezer of version 1 is joined without waiting, and ends what is in it as surely as version 2, so it is taken before that.
  const kill = hierarchies.find((one) => one.version === 1 && canKill(one)) ?? hierarchies.find(canKill)
  const bounding = Object.values(limiting).map((name) => hierarchies.find(({ controllers }) => controllers.has(name)))
  return new Set([kill, ...bounding].filter((one) => one !== undefined))
}

function canKill({ version, controllers }: Hierarchy): boolean {
  return version === 2 || controllers.has('freezer')
}

function bounds({ controllers }: BaseGroup): GroupController[] {
  return (['memory', 'processes', 'cpu'] as const).filter((name) => controllers.has(limiting[name]))
}

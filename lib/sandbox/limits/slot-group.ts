import { mkdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { SlotpoolError } from '../../errors.ts'
import type { BaseGroup } from './base-group.ts'
import { cpuSetting } from './cpu-weight.ts'
import { endGroup } from './end-group.ts'
import { ExecutionGroup } from './execution-group.ts'
import { groupMembers, joinFile, tryRemove, trySet } from './group-folder.ts'
import type { Hierarchy } from './hierarchies.ts'
import { KeptCount } from './kept-count.ts'

/** What the groups of a slot limit; null or left out: no limit. See `lib/wire/limits.ts`. */
export interface GroupLimits {
  memoryBytes?: number | null
  processes?: number | null
  cpuWeight?: number | null
}

/** The group of a slot in one hierarchy. */
interface Place {
  hierarchy: Hierarchy
  folder: string
  controllers: ReadonlySet<string>
}

/** How many groups of executions that left something behind are looked at again at a time. */
const sweepCount = 8

/** The control groups of one slot: its limits, and the groups of its executions below. */
export class SlotGroup {
  readonly #places: readonly Place[]
  /** Where its executions have groups of their own. */
  readonly #killable: Place | undefined
  readonly #kills: KeptCount | undefined
  readonly #refusals: KeptCount | undefined
  #executions = 0
  /** Groups of executions that ended and left nothing: each serves again, since making and removing one takes longer than a short command. */
  readonly #free: string[] = []
  readonly #left: string[] = []
  #hits = { memory: 0, processes: 0 }
  #ending: Promise<void> | undefined

  private constructor(places: readonly Place[], killable: Place | undefined) {
    this.#places = places
    this.#killable = killable
    this.joinFiles = this.#joinOrder().map(({ hierarchy, folder }) => joinFile(hierarchy.version, folder))
    const memory = this.#with('memory')
    const processes = this.#with('pids')
    this.#kills =
      memory && new KeptCount(join(memory.folder, memory.hierarchy.version === 1 ? 'memory.oom_control' : 'memory.events'), 'oom_kill')
    this.#refusals = processes && new KeptCount(join(processes.folder, 'pids.events'), 'max')
  }

  /**
   * @param killable Which of `bases` can end all processes of a group.
   * @throws {SlotpoolError} `JAIL_FAILED` when the groups cannot be made or a limit cannot be set; none is left then.
   */
  static async make(bases: readonly BaseGroup[], killable: BaseGroup | undefined, name: string, limits: GroupLimits): Promise<SlotGroup> {
    const placeIn = ({ hierarchy, folder, controllers }: BaseGroup): Place => ({ hierarchy, folder: join(folder, name), controllers })
    const places = bases.map((base) => ({ base, place: placeIn(base) }))
    const group = new SlotGroup(
      places.map(({ place }) => place),
      places.find(({ base }) => base === killable)?.place,
    )
    try {
      for (const { place } of places) {
        await mkdir(place.folder)
        await setLimits(place, limits)
      }
      return group
    } catch (cause) {
      await group.end().catch(() => {})
      throw new SlotpoolError('JAIL_FAILED', `could not make the control groups ${basename(name)} of a slot: ${(cause as Error).message}`, {
        cause,
      })
    }
  }

  /** Whether executions can have groups of their own. */
  get endsExecutions(): boolean {
    return this.#killable !== undefined
  }

  /**
   * The files that a process writes `0` to, in this order, to count for the slot from then on. It must be a process of one thread that
   * gives up when one cannot be written: the slot is being ended then.
   */
  readonly joinFiles: readonly string[]

  /**
   * Makes a group for one execution. Its processes count for the slot.
   *
   * @throws {SlotpoolError} `JAIL_FAILED` when the slot has ended or the group cannot be made; `INTERNAL` where `kill` is not among
   *   the controllers.
   */
  async execution(): Promise<ExecutionGroup> {
    if (this.#ending) throw new SlotpoolError('JAIL_FAILED', 'the slot has ended')
    if (!this.#killable)
      throw new SlotpoolError('INTERNAL', 'got an execution to group, expected control groups that can end their processes')
    const { hierarchy, folder: slot } = this.#killable
    void this.#sweep()
    const folder = this.#free.pop() ?? (await this.#makeExecution(slot))
    // The execution's group comes first: what is in it is ended with it, however far it got with the others.
    const [, ...others] = this.joinFiles
    return new ExecutionGroup({
      hierarchy,
      folder,
      joinFiles: [joinFile(hierarchy.version, folder), ...others],
      onLeft: (isEmpty) => (isEmpty ? this.#free : this.#left).push(folder),
    })
  }

  async #makeExecution(slot: string): Promise<string> {
    const folder = join(slot, `run-${this.#executions++}`)
    try {
      await mkdir(folder)
      return folder
    } catch (cause) {
      throw new SlotpoolError('JAIL_FAILED', `could not make a control group of an execution: ${(cause as Error).message}`, { cause })
    }
  }

  /** How often the kernel ended a process of the slot for want of memory, and refused it one more process, since the slot was made. */
  hits(): { memory: number; processes: number } {
    // They only grow; once the groups are removed, the last known ones stay.
    const { memory, processes } = this.#hits
    this.#hits = { memory: Math.max(memory, this.#kills?.now() ?? 0), processes: Math.max(processes, this.#refusals?.now() ?? 0) }
    return this.#hits
  }

  /** The processes of the slot, as this process sees them. */
  async members(): Promise<number[]> {
    return [...new Set((await Promise.all(this.#places.map(({ folder }) => groupMembers(folder)))).flat())]
  }

  /**
   * Ends every process of the slot and removes its groups. Resolves when none is left. May be called again after it failed.
   *
   * @throws {SlotpoolError} `JAIL_FAILED` when some are still there after ten seconds.
   */
  end(): Promise<void> {
    this.#ending ??= this.#end().catch((error) => {
      this.#ending = undefined
      throw error
    })
    return this.#ending
  }

  async #end(): Promise<void> {
    this.hits()
    this.#kills?.close()
    this.#refusals?.close()
    // Where they can be ended at once comes first; in the other hierarchies nothing should be left then.
    for (const { hierarchy, folder } of this.#joinOrder()) await endGroup(hierarchy, folder)
  }

  #joinOrder(): readonly Place[] {
    if (!this.#killable) return this.#places
    return [this.#killable, ...this.#places.filter((place) => place !== this.#killable)]
  }

  #with(controller: string): Place | undefined {
    return this.#places.find(({ controllers }) => controllers.has(controller))
  }

  /** Removes groups of executions whose background processes have ended meanwhile. Nothing waits for them, so some at a time will do. */
  async #sweep(): Promise<void> {
    for (const folder of this.#left.splice(0, sweepCount)) {
      if (!(await tryRemove(folder).catch(() => false))) this.#left.push(folder)
    }
  }
}

async function setLimits({ hierarchy, folder, controllers }: Place, limits: GroupLimits): Promise<void> {
  const set = async (file: string, value: number) => {
    if (!(await trySet(join(folder, file), value))) throw new Error(`the kernel did not take ${value} for ${file}`)
  }
  const { memoryBytes, processes, cpuWeight } = limits
  if (memoryBytes != null && controllers.has('memory')) {
    await set(hierarchy.version === 1 ? 'memory.limit_in_bytes' : 'memory.max', memoryBytes)
    // Memory and swap together on version 1, swap alone on version 2. A kernel may have neither file.
    if (hierarchy.version === 1) await trySet(join(folder, 'memory.memsw.limit_in_bytes'), memoryBytes)
    else await trySet(join(folder, 'memory.swap.max'), 0)
  }
  if (processes != null && controllers.has('pids')) await set('pids.max', processes)
  if (cpuWeight != null && controllers.has('cpu')) {
    const { file, value } = cpuSetting(hierarchy.version, cpuWeight)
    await set(file, value)
  }
}

import type { LimitName, LimitsInForce } from '../wire/limits.ts'
import type { EntryTerms } from './jail/entry-terms.ts'
import type { ExecutionGroup } from './limits/execution-group.ts'
import type { SlotGroup } from './limits/slot-group.ts'

/** What holds one slot to its limits, for as long as its jail lives. */
export class SlotBounds {
  readonly limits: LimitsInForce
  readonly #group: SlotGroup | null

  /** `group` is where the slot's processes are counted together; null where there are no control groups. */
  constructor(limits: LimitsInForce, group: SlotGroup | null) {
    this.limits = limits
    this.#group = group
  }

  /** A control group for one execution, where such a group can be ended; else null. */
  async execution(): Promise<ExecutionGroup | null> {
    return this.#group?.endsExecutions ? this.#group.execution() : null
  }

  /** What holds for a program that enters the slot, of an execution or of the server's own. */
  terms(execution: ExecutionGroup | null): EntryTerms {
    const { openFiles, processes, diskBytes } = this.limits
    return {
      joinFiles: execution?.joinFiles ?? this.#group?.joinFiles ?? [],
      resourceLimits: {
        core: 0,
        ...(openFiles === null ? {} : { nofile: openFiles.value }),
        ...(processes?.by === 'rlimit' ? { nproc: processes.value } : {}),
        // No single file is larger than all of them may be; with that one writer at least is stopped at once.
        ...(diskBytes === null ? {} : { fsize: diskBytes.value }),
      },
    }
  }

  /**
   * Starts to note which limits are reached; the result is asked at the end for the one that mattered most, or null. `onDisk` is called
   * once when the slot has written more than it may: nothing but the end of its commands keeps it from going on.
   */
  async watch(_onDisk: () => void): Promise<() => Promise<LimitName | null>> {
    if (this.#group === null) return async () => null
    const before = await this.#group.hits()
    return async () => {
      const after = await this.#group?.hits()
      if (after === undefined) return null
      if (after.memory > before.memory) return 'memory'
      return after.processes > before.processes ? 'processes' : null
    }
  }

  /** Ends every process that still counts for the slot, and its groups. */
  async end(): Promise<void> {
    await this.#group?.end()
  }
}

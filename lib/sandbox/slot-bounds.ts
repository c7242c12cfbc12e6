import type { LimitName, LimitsInForce } from '../wire/limits.ts'
import type { EntryTerms } from './jail/entry-terms.ts'
import type { DiskWatch } from './limits/disk-watch.ts'
import type { ExecutionGroup } from './limits/execution-group.ts'
import { ownHardLimits } from './limits/hard-limits.ts'
import type { SlotGroup } from './limits/slot-group.ts'

/** How long a file may still become in a slot that is full. */
const tidyingBytes = 2 ** 20

/** What holds one slot to its limits, for as long as its jail lives. */
export class SlotBounds {
  readonly limits: LimitsInForce
  readonly #group: SlotGroup | null
  readonly #disk: DiskWatch | null
  /** No process may allow more than the server itself has. */
  readonly #longestFileBytes = ownHardLimits().f

  /** `group` is where the slot's processes are counted together; null where there are no control groups. */
  constructor(parts: { limits: LimitsInForce; group: SlotGroup | null; disk: DiskWatch | null }) {
    this.limits = parts.limits
    this.#group = parts.group
    this.#disk = parts.disk
  }

  /** A control group for one execution, where such a group can be ended; else null. */
  async execution(): Promise<ExecutionGroup | null> {
    return this.#group?.endsExecutions ? this.#group.execution() : null
  }

  /** What holds for a program that enters the slot, of an execution or of the server's own. */
  terms(execution: ExecutionGroup | null = null): EntryTerms {
    const { openFiles, processes, diskBytes } = this.limits
    return {
      joinFiles: execution?.joinFiles ?? this.#group?.joinFiles ?? [],
      resourceLimits: {
        core: 0,
        ...(openFiles === null ? {} : { nofile: openFiles.value }),
        ...(processes?.by === 'rlimit' ? { nproc: processes.value } : {}),
        // No single file is larger than all of them may be, which stops one writer at once. In a slot that is full little more than tidying
        // up is left to do.
        ...(diskBytes === null ? {} : { fsize: this.#disk?.full ? tidyingBytes : Math.min(diskBytes.value, this.#longestFileBytes) }),
      },
    }
  }

  /**
   * Starts to note which limits are reached; the result is asked at the end for the one that mattered most, or null. `onDisk` is called
   * once when the slot has written more than it may: nothing but the end of its commands keeps it from going on.
   */
  async watch(onDisk: () => void): Promise<() => LimitName | null> {
    // It may have been tidied up since.
    if (this.#disk?.full) await this.#disk.usedBytes()
    const before = this.#group?.hits()
    const stop = this.#disk?.watch(onDisk)
    return () => {
      stop?.()
      const after = this.#group?.hits()
      if (before === undefined || after === undefined) return null
      if (after.memory > before.memory) return 'memory'
      return after.processes > before.processes ? 'processes' : null
    }
  }

  /** Ends every process that still counts for the slot, and its groups. */
  async end(): Promise<void> {
    await this.#group?.end()
  }
}

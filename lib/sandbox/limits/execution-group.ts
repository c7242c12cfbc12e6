import { endGroup } from './end-group.ts'
import { groupMembers, isEmptyNow } from './group-folder.ts'
import type { Hierarchy } from './hierarchies.ts'

/** The control group of one execution: whatever it starts is in it, and can leave it by no means of its own. */
export class ExecutionGroup {
  /**
   * The files that a process writes `0` to, in this order, to be of the execution and its slot from then on. It must be a process of one
   * thread that gives up when one cannot be written: the execution has been ended then.
   */
  readonly joinFiles: readonly string[]
  readonly #hierarchy: Hierarchy
  readonly #folder: string
  readonly #onLeft: (isEmpty: boolean) => void
  #left = false
  #ending: Promise<void> | undefined

  constructor(parts: { hierarchy: Hierarchy; folder: string; joinFiles: readonly string[]; onLeft: (isEmpty: boolean) => void }) {
    this.joinFiles = parts.joinFiles
    this.#hierarchy = parts.hierarchy
    this.#folder = parts.folder
    this.#onLeft = parts.onLeft
  }

  /** Its processes, as this process sees them; 0 stands for one in a PID namespace that this process does not see. */
  members(): Promise<number[]> {
    return groupMembers(this.#folder)
  }

  /**
   * Ends every process of the execution at once, and keeps out what has yet to join. Resolves when none is left. Does nothing once it was left.
   *
   * @throws {SlotpoolError} `JAIL_FAILED` when some are still there after ten seconds; it may be called again then.
   */
  end(): Promise<void> {
    if (this.#left && !this.#ending) return Promise.resolve()
    this.#ending ??= endGroup(this.#hierarchy, this.#folder).catch((error) => {
      this.#ending = undefined
      throw error
    })
    return this.#ending
  }

  /** For a command that has ended by itself: what it left in the background lives on, until its slot ends. Where nothing is left, the group serves again. */
  leave(): void {
    if (this.#left || this.#ending) return
    this.#left = true
    this.#onLeft(isEmptyNow(this.#folder))
  }
}

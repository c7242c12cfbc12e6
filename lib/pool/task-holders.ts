import type { Slot } from './slot.ts'

interface Holders {
  count: number
  /** Had by one of them who has left meanwhile. */
  slot: Slot | undefined
}

/** Who in this process works in the slot of a task: the last to leave releases it. */
export class TaskHolders {
  readonly #byTask = new Map<string, Holders>()
  /** Releases under way: a slot about to be lost is not for who comes next. */
  readonly #leaving = new Map<string, Promise<void>>()

  /** Counts one in, before it has the slot: nobody may release what it is about to get. */
  async enter(taskId: string): Promise<void> {
    const holders = this.#byTask.get(taskId)
    if (holders) holders.count++
    else this.#byTask.set(taskId, { count: 1, slot: undefined })
    await this.#leaving.get(taskId)
  }

  /** Counts one out; `slot` is what it had, if anything. Resolves when the slot is released, or at once when others go on with it. */
  async leave(taskId: string, slot: Slot | undefined): Promise<void> {
    const holders = this.#byTask.get(taskId)
    if (!holders) return
    const last = slot ?? holders.slot
    if (--holders.count > 0) {
      holders.slot = last
      return
    }
    this.#byTask.delete(taskId)
    if (!last) return
    const released = last.release()
    const over: Promise<void> = released
      .catch(() => {})
      .then(() => {
        if (this.#leaving.get(taskId) === over) this.#leaving.delete(taskId)
      })
    this.#leaving.set(taskId, over)
    await released
  }
}

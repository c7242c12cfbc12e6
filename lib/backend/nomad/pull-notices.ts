import type { AllocationStub } from '../../nomad/allocations.ts'
import type { Notice } from '../provider.ts'
import { isLive } from './containers.ts'

/** Passes on what drivers say of images that they pull: that they do, and every few seconds how far it is. Each is said once. */
export class PullNotices {
  readonly #notice: Notice
  readonly #over: ReadonlySet<string>
  readonly #said = new Set<string>()

  /** @param before what there was when its pool began to grow: nothing is said of those that were over by then. */
  constructor(notice: Notice, before: readonly AllocationStub[]) {
    this.#notice = notice
    this.#over = new Set(before.filter((one) => !isLive(one)).map((one) => one.ID))
  }

  look(allocations: readonly AllocationStub[]): void {
    for (const { ID, NodeName, TaskStates } of allocations) {
      for (const { Type, Time, DisplayMessage } of Object.values(TaskStates ?? {}).flatMap((task) => task.Events ?? [])) {
        const key = `${ID} ${Time}`
        if (Type !== 'Driver' || this.#over.has(ID) || this.#said.has(key)) continue
        this.#said.add(key)
        this.#notice(`slotpool: node ${NodeName}: ${DisplayMessage}`)
      }
    }
  }
}

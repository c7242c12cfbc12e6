import type { CheckedExecutionRequest } from '../wire/execution.ts'
import type { Execution } from './execution.ts'
import { Fifos } from './fifos.ts'
import { JailFiles } from './files/jail-files.ts'
import type { PatienceLimits } from './files/patience.ts'
import { JailExecution } from './jail-execution.ts'
import { SlotPipes } from './slot-pipes.ts'
import type { SlotRuntime } from './slot-runtime.ts'
import type { Slot } from './slots.ts'

/** Commands and files in real jails. */
export class JailRuntime implements SlotRuntime {
  readonly files: JailFiles
  readonly #fifos: Fifos
  readonly #slotPipes = new WeakMap<Slot, SlotPipes>()

  /** `folder` is where the pipes of commands are made; `patience` how long programs that work on files are waited for. */
  constructor(folder: string, patience?: PatienceLimits) {
    this.#fifos = new Fifos(folder)
    this.files = new JailFiles(patience)
  }

  start(): Promise<void> {
    return this.#fifos.prepare()
  }

  execution(id: string, request: CheckedExecutionRequest, slot: Slot): Execution {
    let slotPipes = this.#slotPipes.get(slot)
    if (!slotPipes) {
      slotPipes = new SlotPipes(this.#fifos, slot.jail.ended)
      this.#slotPipes.set(slot, slotPipes)
    }
    return new JailExecution(id, request, slot, { fifos: this.#fifos, slotPipes })
  }

  close(): Promise<void> {
    return this.#fifos.close()
  }
}

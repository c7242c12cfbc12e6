import type { CheckedExecutionRequest } from '../wire/execution.ts'
import type { Execution } from './execution.ts'
import { Fifos } from './fifos.ts'
import { JailFiles } from './files/jail-files.ts'
import type { Jail } from './jail/jail.ts'
import { JailExecution } from './jail-execution.ts'
import type { SlotRuntime } from './slot-runtime.ts'

/** Commands and files in real jails. */
export class JailRuntime implements SlotRuntime {
  readonly files = new JailFiles()
  readonly #fifos: Fifos

  /** `folder` is where the pipes of commands are made. */
  constructor(folder: string) {
    this.#fifos = new Fifos(folder)
  }

  start(): Promise<void> {
    return this.#fifos.prepare()
  }

  execution(id: string, request: CheckedExecutionRequest, jail: Jail): Execution {
    return new JailExecution(id, request, jail, this.#fifos)
  }

  close(): Promise<void> {
    return this.#fifos.close()
  }
}

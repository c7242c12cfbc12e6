import type { Readable } from 'node:stream'
import type { CheckedExecutionRequest } from '../wire/execution.ts'
import type { Execution } from './execution.ts'
import { Fifos } from './fifos.ts'
import { readFile, writeFile } from './files.ts'
import type { Jail } from './jail/jail.ts'
import { JailExecution } from './jail-execution.ts'
import type { SlotRuntime } from './slot-runtime.ts'

/** Commands and files in real jails. */
export class JailRuntime implements SlotRuntime {
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

  readFile(jail: Jail, path: string, signal: AbortSignal): Promise<Readable> {
    return readFile(jail, path, signal)
  }

  writeFile(jail: Jail, path: string, content: Readable, bytes: number, signal: AbortSignal): Promise<void> {
    return writeFile(jail, path, content, bytes, signal)
  }

  close(): Promise<void> {
    return this.#fifos.close()
  }
}

import type { Readable } from 'node:stream'
import type { CheckedExecutionRequest } from '../wire/execution.ts'
import type { Execution } from './execution.ts'
import type { Jail } from './jail/jail.ts'

/** What happens inside of slots. The server's leases, results and wire are the same whatever does it. */
export interface SlotRuntime {
  /** Makes ready what executions need. */
  start(): Promise<void>
  /** An execution that has yet to be run. */
  execution(id: string, request: CheckedExecutionRequest, jail: Jail): Execution
  /** Streams a file out of a slot. @throws {SlotpoolError} `FILE_NOT_FOUND`, `FILE_FAILED`. */
  readFile(jail: Jail, path: string, signal: AbortSignal): Promise<Readable>
  /** Writes a file of `bytes` bytes in a slot. @throws {SlotpoolError} `FILE_TOO_LARGE`, `FILE_FAILED`. */
  writeFile(jail: Jail, path: string, content: Readable, bytes: number, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

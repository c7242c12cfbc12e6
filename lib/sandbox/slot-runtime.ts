import type { CheckedExecutionRequest } from '../wire/execution.ts'
import type { Execution } from './execution.ts'
import type { FileSystem } from './files/file-system.ts'
import type { Slot } from './slots.ts'

/** What happens inside of slots. The server's leases, results and wire are the same whatever does it. */
export interface SlotRuntime {
  /** Makes ready what executions need. */
  start(): Promise<void>
  /** Takes note of a new slot, and begins what its first command would else wait for. */
  makeReady(slot: Slot): void
  /** An execution that has yet to be run. */
  execution(id: string, request: CheckedExecutionRequest, slot: Slot): Execution
  readonly files: FileSystem
  close(): Promise<void>
}

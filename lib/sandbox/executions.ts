import { SlotpoolError } from '../errors.ts'
import type { CheckedExecutionRequest } from '../wire/execution.ts'
import type { Execution } from './execution.ts'
import type { HeldLease } from './held-lease.ts'
import type { LeaseTable } from './lease-table.ts'
import type { SlotRuntime } from './slot-runtime.ts'

/** Output of finished executions kept for readers that come back: the oldest goes first. */
const maxHeldBytes = 16 * 1024 * 1024
const maxFinished = 10_000
/** Ids of those let go, for each lease: the oldest is forgotten first. */
const maxDropped = 10_000
/** Ended before they came, for each lease: the oldest is forgotten first. */
const maxRefused = 1_000

/** Starts executions, each id once, and keeps their results while the lease lives, within bounds. */
export class Executions {
  readonly #leases: LeaseTable
  readonly #runtime: SlotRuntime
  /** Finished ones, oldest first. */
  readonly #finished = new Map<Execution, HeldLease>()
  #heldBytes = 0

  constructor(leases: LeaseTable, runtime: SlotRuntime) {
    this.#leases = leases
    this.#runtime = runtime
  }

  /**
   * Runs a command under an id; a second request with that id gets the first one's execution, however far it is.
   *
   * @throws {SlotpoolError} `EXECUTION_CONFLICT` when the id was used for something else; `EXECUTION_OUTCOME_UNKNOWN` when it was run and
   *   its result is no longer kept; `CANCELLED` when it was ended before it came.
   */
  start(held: HeldLease, id: string, request: CheckedExecutionRequest): Execution {
    const existing = held.executions.get(id)
    if (existing) {
      if (JSON.stringify(existing.request) === JSON.stringify(request)) return existing
      throw new SlotpoolError('EXECUTION_CONFLICT', `execution ${id} was already started with another command or other options`, {
        details: { executionId: id },
      })
    }
    if (held.droppedExecutions.has(id)) throw noLongerKept(id)
    if (held.refusedExecutions.has(id)) {
      throw new SlotpoolError('CANCELLED', `execution ${id} was ended before it came, and was not run`, { details: { executionId: id } })
    }
    const execution = this.#runtime.execution(id, request, held.slot)
    held.executions.set(id, execution)
    void this.#leases.use(held, () => execution.run()).then(() => this.#keep(execution, held))
    return execution
  }

  /** @throws {SlotpoolError} `EXECUTION_NOT_FOUND` when it never was; `EXECUTION_OUTCOME_UNKNOWN` when its result is no longer kept. */
  get(held: HeldLease, id: string): Execution {
    const execution = held.executions.get(id)
    if (execution) return execution
    if (held.droppedExecutions.has(id)) throw noLongerKept(id)
    throw new SlotpoolError('EXECUTION_NOT_FOUND', `lease ${held.leaseId} has no execution ${id}`, { details: { executionId: id } })
  }

  /**
   * Ends an execution and all that it started. One that never came is refused from now on: its request may still be under way.
   *
   * @throws {SlotpoolError} as {@link get}; after `EXECUTION_NOT_FOUND` it was not run and never will be.
   */
  async cancel(held: HeldLease, id: string): Promise<void> {
    if (!held.executions.has(id) && !held.droppedExecutions.has(id)) {
      held.refusedExecutions.add(id)
      if (held.refusedExecutions.size > maxRefused) held.refusedExecutions.delete(held.refusedExecutions.keys().next().value as string)
    }
    await this.get(held, id).cancel()
  }

  /** Lets go of all executions of a lease that ends: what still runs is about to be ended with its jail. */
  forget(held: HeldLease): void {
    for (const execution of held.executions.values()) {
      execution.abandon()
      if (this.#finished.delete(execution)) this.#heldBytes -= heldBytes(execution)
    }
    held.over = true
  }

  #keep(execution: Execution, held: HeldLease): void {
    if (held.over) return
    this.#finished.set(execution, held)
    this.#heldBytes += heldBytes(execution)
    for (const [oldest, lease] of this.#finished) {
      if (oldest === execution || (this.#heldBytes <= maxHeldBytes && this.#finished.size <= maxFinished)) break
      this.#finished.delete(oldest)
      this.#heldBytes -= heldBytes(oldest)
      lease.executions.delete(oldest.id)
      // The id stays known, so that it is never run a second time.
      lease.droppedExecutions.add(oldest.id)
      if (lease.droppedExecutions.size > maxDropped) {
        lease.droppedExecutions.delete(lease.droppedExecutions.values().next().value as string)
      }
    }
  }
}

function noLongerKept(id: string): SlotpoolError {
  return new SlotpoolError('EXECUTION_OUTCOME_UNKNOWN', `execution ${id} was run, but its result is no longer kept`, {
    details: { executionId: id },
  })
}

function heldBytes(execution: Execution): number {
  const { command, env = {} } = execution.request
  // The request is kept too, to compare a repeated one with.
  const requestBytes = Object.entries(env).reduce((sum, [name, value]) => sum + name.length + value.length, command.length)
  return execution.stdout.heldBytes + execution.stderr.heldBytes + requestBytes
}

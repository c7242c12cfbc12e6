import { SlotpoolError } from '../errors.ts'
import type { CheckedExecutionRequest } from '../wire/execution.ts'
import type { Clock } from './clock.ts'
import type { Execution } from './execution.ts'
import type { HeldLease } from './held-lease.ts'
import { KeptExecution } from './kept-execution.ts'
import { KeptExecutions } from './kept-executions.ts'
import type { LeaseTable } from './lease-table.ts'
import { isMarkOf } from './request-identity.ts'
import type { SlotRuntime } from './slot-runtime.ts'

/** Starts executions, each id once for as long as its lease lives, and keeps their results for a while. */
export class Executions {
  readonly #leases: LeaseTable
  readonly #runtime: SlotRuntime
  readonly #kept: KeptExecutions

  constructor(leases: LeaseTable, runtime: SlotRuntime, clock: Clock) {
    this.#leases = leases
    this.#runtime = runtime
    this.#kept = new KeptExecutions(clock)
  }

  /**
   * Runs a command under an id; a second request with that id gets the first one's execution, however far it is.
   *
   * @throws {SlotpoolError} `EXECUTION_CONFLICT` when the id was used for something else; `EXECUTION_RESULT_DROPPED` when it was run and
   *   its result is no longer kept; `CANCELLED` when it was ended before it came, or this attempt at it was refused.
   */
  start(held: HeldLease, id: string, request: CheckedExecutionRequest, attempt?: string): Execution | KeptExecution {
    const existing = held.executions.get(id)
    if (existing) {
      if (isMarkOf(existing instanceof KeptExecution ? existing.mark : existing.request, request)) return existing
      throw new SlotpoolError('EXECUTION_CONFLICT', `execution ${id} was already started with another command or other options`, {
        details: { executionId: id },
      })
    }
    if (held.droppedExecutions.has(id)) throw noLongerKept(id)
    if (held.refusedExecutions.has(id)) {
      throw new SlotpoolError('CANCELLED', `execution ${id} was ended before it came, and was not run`, { details: { executionId: id } })
    }
    if (attempt !== undefined && held.refusedExecutions.has(attemptKey(id, attempt))) {
      throw new SlotpoolError('CANCELLED', `this attempt at execution ${id} was given up before it came, and was not run`, {
        details: { executionId: id },
      })
    }
    const execution = this.#runtime.execution(id, request, held.slot)
    held.executions.set(id, execution)
    void this.#leases
      .use(held, () => execution.run())
      .then(() => {
        if (!held.over) this.#kept.keep(execution, held)
      })
    return execution
  }

  /** @throws {SlotpoolError} `EXECUTION_NOT_FOUND` when it never was; `EXECUTION_RESULT_DROPPED` when its result is no longer kept. */
  get(held: HeldLease, id: string): Execution | KeptExecution {
    const execution = held.executions.get(id)
    if (execution) return execution
    if (held.droppedExecutions.has(id)) throw noLongerKept(id)
    throw new SlotpoolError('EXECUTION_NOT_FOUND', `lease ${held.leaseId} has no execution ${id}`, { details: { executionId: id } })
  }

  /** Notes that whoever asked for an execution has had all of its answer. */
  acknowledge(held: HeldLease, id: string): void {
    const execution = held.executions.get(id)
    if (execution instanceof KeptExecution) this.#kept.acknowledge(execution)
  }

  /**
   * Refuses one attempt at an execution that has not come, from now on: its request may still be under way. False when the execution has come, by
   * whichever attempt, and goes on.
   */
  refuse(held: HeldLease, id: string, attempt: string): boolean {
    return this.#refuse(held, id, attemptKey(id, attempt))
  }

  /**
   * Ends an execution and all that it started. One that never came is refused from now on: its request may still be under way.
   *
   * @throws {SlotpoolError} as {@link get}; after `EXECUTION_NOT_FOUND` it was not run and never will be.
   */
  async cancel(held: HeldLease, id: string): Promise<void> {
    this.#refuse(held, id, id)
    await this.get(held, id).cancel()
  }

  #refuse(held: HeldLease, id: string, key: string): boolean {
    if (held.executions.has(id) || held.droppedExecutions.has(id)) return false
    held.refusedExecutions.add(key)
    return true
  }

  /** Lets go of all executions of a lease that ends: what still runs is about to be ended with its jail. */
  forget(held: HeldLease): void {
    for (const execution of held.executions.values()) {
      execution.abandon()
      if (execution instanceof KeptExecution) this.#kept.forget(execution)
    }
    for (const one of held.leftOpen) one.close()
    held.over = true
  }
}

/** No id has a space in it. */
const attemptKey = (id: string, attempt: string): string => `${id} ${attempt}`

function noLongerKept(id: string): SlotpoolError {
  return new SlotpoolError('EXECUTION_RESULT_DROPPED', `execution ${id} was run, but its result is no longer kept`, {
    details: { executionId: id },
  })
}

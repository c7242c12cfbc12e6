import type { FaultName } from './faults.ts'
import type { CommandResult, TaskFailure, TaskSoFar } from './messages.ts'
import type { TaskPlan } from './task-plan.ts'

/** A fault that met a task. */
export interface Touch {
  /** The number of the fault in the run. */
  fault: number
  name: FaultName
}

/** What is known of a task: all that is judged in the end, and where it is meanwhile. */
export class TaskRecord {
  readonly plan: TaskPlan
  /** Of each command all results that were told: one, if all is well. */
  readonly results = new Map<number, CommandResult[]>()
  /** How often each command was asked for. */
  readonly asked = new Map<number, number>()
  /** How it ended, null standing for well: one, if all is well. */
  readonly endings: (TaskFailure | null)[] = []
  readonly touches: Touch[] = []
  /** `leasing`: it is asking for a slot, or may be. */
  state: 'waiting' | 'leasing' | 'leased' | 'over' = 'waiting'
  leaseId: string | null = null
  containerId: string | null = null

  constructor(plan: TaskPlan) {
    this.plan = plan
  }

  get underWay(): boolean {
    return this.state === 'leasing' || this.state === 'leased'
  }

  /** For a manager that goes on with it. */
  get soFar(): TaskSoFar {
    const next = this.plan.commands.find(({ number }) => !this.results.has(number))
    return { leaseId: this.leaseId, next: this.#lost ? this.plan.commands.length + 1 : (next?.number ?? this.plan.commands.length + 1) }
  }

  touch(fault: number, name: FaultName): void {
    if (!this.touches.some((one) => one.fault === fault)) this.touches.push({ fault, name })
  }

  noteResult(command: number, result: CommandResult): void {
    this.results.set(command, [...(this.results.get(command) ?? []), result])
  }

  /** A command of it ended in the loss of its slot: nothing is left to be done but to see to it that it has none. */
  get #lost(): boolean {
    return this.lossOfCommand !== null
  }

  /** Why it ended, when that is known of a command already. */
  get lossOfCommand(): TaskFailure | null {
    for (const [last] of [...this.results.values()].reverse()) {
      if (last && last.code !== null && (last.failure === 'lost' || last.failure === 'unknown')) {
        return { failure: last.failure, code: last.code, message: last.message, at: 'command' }
      }
    }
    return null
  }
}

import { setTimeout as delay } from 'node:timers/promises'
import { SlotpoolError } from '../lib/errors.ts'
import type { Slot } from '../lib/pool/slot.ts'
import type { SlotPool } from '../lib/pool/slot-pool.ts'
import type { Mailbox } from './mailbox.ts'
import type { TaskFailure, TaskSoFar } from './messages.ts'
import { runCommand } from './run-command.ts'
import type { TaskPlan } from './task-plan.ts'
import { whenPlaced } from './when-placed.ts'

/** How long a slot is tried to be given back that cannot be at once. */
const releasePatienceMs = 20_000
const releasePauseMs = 200

/**
 * Does what is left to be done of a task, and tells the supervisor each step before it takes the next. Another manager may have begun it: its
 * slot is then the one that it had, and the command that was under way is asked for by the same id. Without that slot the task is lost: what
 * it had made in there is gone.
 */
export async function workThrough(pool: SlotPool, mailbox: Mailbox, mark: string, task: TaskPlan, soFar: TaskSoFar): Promise<void> {
  const failure = soFar.next > task.commands.length ? null : await work(pool, mailbox, mark, task, soFar)
  const unreleased = await release(pool, task.id)
  await mailbox.send({ type: 'ended', task: task.id, failure: failure ?? unreleased })
}

async function work(pool: SlotPool, mailbox: Mailbox, mark: string, task: TaskPlan, soFar: TaskSoFar): Promise<TaskFailure | null> {
  let slot: Slot
  try {
    slot = await whenPlaced(() => pool.lease(task.id))
    if (soFar.leaseId !== null) checkSame(slot, soFar.leaseId)
  } catch (error) {
    return failureOf(error, 'lease')
  }
  const { leaseId, containerId } = slot
  await mailbox.send({ type: 'leased', task: task.id, leaseId, containerId })
  for (const plan of task.commands.slice(soFar.next - 1)) {
    const result = await runCommand(
      {
        slot,
        mark,
        stillHeld: async () => {
          slot = await pool.lease(task.id)
          checkSame(slot, leaseId)
        },
        onAsking: () => mailbox.send({ type: 'asking', task: task.id, command: plan.number }),
      },
      task,
      plan,
    )
    await mailbox.send({ type: 'result', task: task.id, command: plan.number, result })
    if (result.code !== null && (result.failure === 'lost' || result.failure === 'unknown')) {
      return { failure: result.failure, code: result.code, message: result.message, at: 'command' }
    }
  }
  return null
}

/** @throws {SlotpoolError} `LEASE_LOST`. */
function checkSame(slot: Slot, leaseId: string): void {
  if (slot.leaseId === leaseId) return
  throw new SlotpoolError('LEASE_LOST', `task ${slot.taskId} had lease ${leaseId} and was given ${slot.leaseId}: its slot is gone`)
}

/** Gives the slot of a task back, whichever it is by now. That it has none is fine. */
async function release(pool: SlotPool, taskId: string): Promise<TaskFailure | null> {
  for (const giveUpAt = Date.now() + releasePatienceMs; ; await delay(releasePauseMs)) {
    try {
      await pool.release(taskId)
      return null
    } catch (error) {
      if (error instanceof SlotpoolError && ['TASK_NOT_FOUND', 'LEASE_LOST', 'LEASE_NOT_FOUND'].includes(error.code)) return null
      if (Date.now() > giveUpAt) return failureOf(error, 'release')
    }
  }
}

function failureOf(thrown: unknown, at: TaskFailure['at']): TaskFailure {
  const { failure, code, message } = SlotpoolError.from(thrown)
  return { failure, code, message, at }
}

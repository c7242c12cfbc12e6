import { setTimeout as delay } from 'node:timers/promises'
import { SlotpoolError } from '../lib/errors.ts'
import type { Slot } from '../lib/pool/slot.ts'
import { commandText, longTimeoutMs, readOutput, shortTimeoutMs } from './command-text.ts'
import type { CommandResult } from './messages.ts'
import { type CommandPlan, executionIdOf, type TaskPlan } from './task-plan.ts'

/** A command that was not run is asked for again for so long: a server that was stopped for a moment answers by then. */
const patienceMs = 10_000
const pauseMs = 100

/** What a command needs of whoever runs it. */
export interface CommandContext {
  slot: Slot
  /** An entry of its environment, by which its processes are known. */
  mark: string
  /** Resolves while the task still has the same slot. @throws {SlotpoolError} when it has not, or nobody can say. */
  stillHeld: () => Promise<void>
  /** Called each time before it is asked for. */
  onAsking: () => Promise<void>
}

/**
 * Runs a command of a task and resolves with how it ended, whatever that was. It has one execution id, by which it is asked for however often
 * that takes; one that was not run is asked for again.
 */
export async function runCommand(context: CommandContext, task: TaskPlan, plan: CommandPlan): Promise<CommandResult> {
  for (const giveUpAt = Date.now() + patienceMs; ; await delay(pauseMs)) {
    const result = await ask(context, plan, executionIdOf(task, plan))
    // Of a command this code says that it was not run.
    if (result.code !== 'SERVER_UNREACHABLE' || Date.now() > giveUpAt) return result
    try {
      await context.stillHeld()
    } catch (error) {
      return failed(plan, error)
    }
  }
}

async function ask({ slot, mark, onAsking }: CommandContext, plan: CommandPlan, executionId: string): Promise<CommandResult> {
  const cancelling = new AbortController()
  await onAsking()
  try {
    const result = await slot.exec(commandText(plan), {
      executionId,
      env: { CHAOS_RUN: mark },
      timeoutMs: plan.kind === 'timeout' ? shortTimeoutMs : longTimeoutMs,
      signal: cancelling.signal,
      // By then it has written its lines.
      ...(plan.kind === 'cancel' ? { onStdout: () => cancelling.abort() } : {}),
    })
    return {
      failure: result.failure?.kind ?? null,
      code: null,
      message: '',
      exitCode: result.exitCode,
      signal: result.signal,
      durationMs: result.durationMs,
      truncated: result.truncated,
      said: readOutput(plan.line, result.stdout),
    }
  } catch (error) {
    return failed(plan, error)
  }
}

function failed(plan: CommandPlan, thrown: unknown): CommandResult {
  const error = SlotpoolError.from(thrown)
  const { stdout } = error.details
  const said = readOutput(plan.line, typeof stdout === 'string' ? stdout : '')
  const { failure, code, message } = error
  return { failure, code, message, exitCode: null, signal: null, durationMs: null, truncated: false, said }
}

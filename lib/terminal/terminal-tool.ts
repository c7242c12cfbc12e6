import type { TerminalOptions } from './arguments.ts'
import type { TerminalResult } from './render.ts'
import { Terminal } from './terminal.ts'

/** Configured by the environment at its first command. */
let shared: Terminal | undefined

/**
 * Runs a command in the slot of a task: the `terminal` tool of an agent. Where the slot is, `TERMINAL_ENV` and its like say; the caller
 * changes nothing for it.
 *
 *     const { output, exit_code, error } = await terminalTool('echo hello', { task_id: 'task-1' })
 *     await cleanupTerminal('task-1')
 */
export function terminalTool(command: string, options: TerminalOptions = {}): Promise<TerminalResult> {
  shared ??= new Terminal()
  return shared.run(command, options)
}

/**
 * Tells a model where the commands of its task run, in a few lines for its system prompt.
 *
 * @throws {SlotpoolError} when the task can have no slot.
 */
export function describeTerminal(taskId = 'default'): Promise<string> {
  shared ??= new Terminal()
  return shared.describe(taskId)
}

/** Releases the slot of a task. To be called when the task ends, however it ends. */
export async function cleanupTerminal(taskId = 'default'): Promise<void> {
  await shared?.cleanup(taskId)
}

/** Releases the slots of all tasks of this process. To be called before it exits. */
export async function closeTerminal(): Promise<void> {
  const closing = shared
  shared = undefined
  await closing?.close()
}

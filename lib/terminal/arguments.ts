import { SlotpoolError } from '../errors.ts'
import { checkCommand } from '../wire/command.ts'

/** How a command of the tool is run. */
export interface TerminalOptions {
  /** The task, and so the slot. Default: `default`. */
  task_id?: string
  /** Start the command and return at once. Default: false. */
  background?: boolean
  /** Seconds. Default: `TERMINAL_TIMEOUT`. */
  timeout?: number
  /** Seconds without any output after which the command is ended. Default: none. */
  no_output_timeout?: number
  /** Run it even where a slot without isolation would refuse it. Default: false. */
  force?: boolean
}

const optionNames: readonly (keyof TerminalOptions)[] = ['task_id', 'background', 'timeout', 'no_output_timeout', 'force']

/** What the tool was called with, checked. */
export interface TerminalCall {
  taskId: string
  background: boolean
  /** Undefined: what the pool is set to. */
  timeoutMs: number | undefined
  noOutputTimeoutMs: number | undefined
  force: boolean
}

/**
 * Checks what a model may have made up, whatever its type. The task id is checked by the pool.
 *
 * @throws {SlotpoolError} `COMMAND_INVALID`, `REQUEST_INVALID`.
 */
export function checkCall(command: unknown, options: unknown): TerminalCall {
  if (typeof command !== 'string') {
    throw new SlotpoolError('COMMAND_INVALID', `command: got ${shown(command)}, expected text`, { details: { reason: 'type' } })
  }
  // As it was given: started in the background it would be part of another command.
  checkCommand(command)
  if (options !== undefined && (typeof options !== 'object' || options === null)) {
    throw new SlotpoolError('REQUEST_INVALID', `options: got ${shown(options)}, expected an object`)
  }
  const unknown = Object.keys(options ?? {}).find((name) => !(optionNames as readonly string[]).includes(name))
  if (unknown !== undefined) {
    throw new SlotpoolError('REQUEST_INVALID', `options: got ${unknown}, expected none but ${optionNames.join(', ')}`)
  }
  const {
    task_id: taskId = 'default',
    background = false,
    timeout,
    no_output_timeout: silence,
    force = false,
  } = (options ?? {}) as TerminalOptions
  return {
    taskId,
    background: flag('background', background),
    timeoutMs: milliseconds('timeout', timeout),
    noOutputTimeoutMs: milliseconds('no_output_timeout', silence),
    force: flag('force', force),
  }
}

function flag(name: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value
  throw new SlotpoolError('REQUEST_INVALID', `${name}: got ${shown(value)}, expected true or false`)
}

function milliseconds(name: string, seconds: unknown): number | undefined {
  if (seconds === undefined) return undefined
  if (typeof seconds === 'number' && seconds > 0 && seconds <= 2_147_483) return Math.ceil(seconds * 1000)
  throw new SlotpoolError('REQUEST_INVALID', `${name}: got ${shown(seconds)}, expected seconds above 0 and up to 2147483`)
}

function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value)
}

import type { SlotpoolError } from '../errors.ts'
import type { ExecResult } from '../pool/exec.ts'
import type { TimeoutKind } from '../wire/execution.ts'
import type { LimitsInForce } from '../wire/limits.ts'
import { limitNote } from './limit-note.ts'

/** What the tool resolves to, the same three fields from every backend. */
export interface TerminalResult {
  /** stdout and stderr in the order in which they were written. */
  output: string
  /** The command's own; 124 after a timeout, 128 and the signal's number after a signal, 125 when slotpool failed. */
  exit_code: number
  /**
   * Null unless slotpool failed, the time was up or a limit was reached: the kind of the failure (`timeout`, `limit`, `lost`, …) and a colon, then what
   * happened, whether to try again, and what to do.
   */
  error: string | null
}

/** The exit code of a command that was ended because its time was up, as of timeout(1). */
export const timeoutExitCode = 124
/** The exit code that says that slotpool failed, whatever became of the command. */
export const failureExitCode = 125

/** Those that end a process, by their numbers on Linux, where slots are; whoever asks may be elsewhere. */
const signalNumbers: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGSTKFLT: 16,
  SIGXCPU: 24,
  SIGXFSZ: 25,
  SIGVTALRM: 26,
  SIGPROF: 27,
  SIGIO: 29,
  SIGPWR: 30,
  SIGSYS: 31,
}

/** A result as one exit code, as a shell gives it. */
export function exitCodeOf(result: { exitCode: number | null; signal: string | null; timedOut: boolean }): number {
  if (result.timedOut) return timeoutExitCode
  return result.exitCode ?? 128 + (signalNumbers[result.signal ?? ''] ?? 0)
}

/** What held for a command, to say what it ran into. */
export interface CommandBounds {
  timeoutMs: number
  noOutputTimeoutMs?: number | undefined
  limits: LimitsInForce
}

/** A command that was run, for the model. */
export function renderResult(result: ExecResult, bounds: CommandBounds): TerminalResult {
  const notes = [timeoutNote(result.timeout, bounds), limitNote(result.limit, bounds.limits)].filter((note) => note !== null)
  return {
    output: result.stdout,
    exit_code: exitCodeOf(result),
    error: notes.length === 0 ? null : `${result.failure?.kind ?? 'limit'}: ${notes.join(' ')}`,
  }
}

function timeoutNote(timeout: TimeoutKind | null, { timeoutMs, noOutputTimeoutMs = 0 }: CommandBounds): string | null {
  const kept = 'it and all that it started were ended. The output so far is kept.'
  if (timeout === 'no-output') {
    return `The command wrote nothing for ${noOutputTimeoutMs / 1000} s; ${kept} Make it say what it does, or use background for what should wait.`
  }
  if (timeout === null) return null
  return `The command timed out after ${timeoutMs / 1000} s; ${kept} Use a longer timeout, or background for what should keep running.`
}

/** A failure of slotpool, for the model. */
export function renderFailure(error: SlotpoolError): TerminalResult {
  const output = error.code === 'CANCELLED' && typeof error.details.stdout === 'string' ? error.details.stdout : ''
  return { output, exit_code: failureExitCode, error: `${error.failure}: ${error.code}: ${sentence(error.message)} ${whatNow(error)}` }
}

function whatNow(error: SlotpoolError): string {
  // The tool leases anew by itself, so the advice for those who hold a lease would mislead.
  if (error.code === 'LEASE_LOST' || error.code === 'LEASE_NOT_FOUND') {
    return 'Worth trying again: the next command starts in a fresh, empty workspace, so first make again what it needs.'
  }
  return `${error.retryable ? 'Worth trying again.' : 'Trying again will not help.'} ${error.advice}`
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`
}

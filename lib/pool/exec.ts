import { randomUUID } from 'node:crypto'
import { StringDecoder } from 'node:string_decoder'
import { inspect } from 'node:util'
import { execute, type OutputSink } from '../client/execute.ts'
import type { SandboxClient } from '../client/sandbox-client.ts'
import { SlotpoolError } from '../errors.ts'
import type { Failure } from '../failure.ts'
import { refuseUnknownOptions } from '../unknown-name.ts'
import type { ExecutionEnd, TimeoutKind } from '../wire/execution.ts'
import type { LimitName } from '../wire/limits.ts'
import { OutputCollector } from './output-collector.ts'

/** What is kept of each stream unless told otherwise. */
export const defaultMaxOutputBytes = 16 * 1024 * 1024

/** A callback that gets output as it comes. A returned promise makes the command wait, once the buffers between are full; anything else is ignored. */
export type OutputCallback<T> = (chunk: T) => unknown

/** Options of `slot.exec`. */
export interface ExecOptions<T extends string | Buffer = string> {
  /** Where the command starts; relative to the workspace. Default: `TERMINAL_CWD`, else the workspace. */
  cwd?: string
  /**
   * Added to the slot's environment. Names that the slot has itself, `SLOTPOOL_…`, `NOMAD_…`, `AWS_…`, `SSH_AUTH_SOCK`, `…_API_KEY` and
   * `…_API_BASE` are left out, and named in the result's `skippedEnv`, unless `allowEnv` has them.
   */
  env?: Record<string, string>
  /** Names in `env` that are passed on although they are reserved. Default: none. */
  allowEnv?: readonly string[]
  /** The command and all that it started end after so long. Default: `TERMINAL_TIMEOUT`. */
  timeoutMs?: number
  /** They also end when nothing was written to stdout or stderr for so long. Default: never. */
  noOutputTimeoutMs?: number
  /** Kept of each stream; more is left out in the middle and `truncated` set. Default: 16 MiB. */
  maxOutputBytes?: number
  /** Send stderr into stdout, in the order in which the command wrote. Default: false. */
  mergeStderr?: boolean
  /** `utf8`: text, never cut inside of a character. `buffer`: the bytes as they are. Default: `utf8`. */
  encoding?: T extends string ? 'utf8' : 'buffer'
  /** When aborted, the command and all that it started are ended, and the call throws `CANCELLED`. */
  signal?: AbortSignal
  /** Names the execution: a retry with the same id joins the first one and never runs the command again. Default: a new id. */
  executionId?: string
  onStdout?: OutputCallback<T>
  onStderr?: OutputCallback<T>
}

/** Where the time of a command went, in milliseconds; together they are all of it. */
export interface ExecPhases {
  /** In this process, before it was sent and after its end was known. */
  clientMs: number
  /** On its way to the sandbox server and back, parsing included. */
  wireMs: number
  /** At the server, until it was on its way into its slot. */
  queueMs: number
  /** Until it was in there. */
  enterMs: number
  /** The command itself: `durationMs`. */
  runMs: number
  /** From its end until the last of its output was read. */
  drainMs: number
}

/** How a command ended. A non-zero exit is a result, not an exception. */
export interface ExecResult<T extends string | Buffer = string> {
  stdout: T
  stderr: T
  /** What bash exited with; null when a signal or the timeout ended it. */
  exitCode: number | null
  /** The signal that ended it, such as `SIGKILL`, else null. */
  signal: string | null
  timedOut: boolean
  /** Which time was up: that of the command, or that of its silence; null when none was. */
  timeout: TimeoutKind | null
  /** A limit of the slot that was reached while the command ran, whether or not it ended it; null when none was. */
  limit: LimitName | null
  /** What it failed of, and whether to try it again; null when it succeeded. What is no result of the command is thrown: see `SlotpoolError.failure`. */
  failure: Failure | null
  /** Names in `env` that were not passed on. */
  skippedEnv: string[]
  /** Output was left out of `stdout` or `stderr`. */
  truncated: boolean
  /** From the start of the command to its end. */
  durationMs: number
  phases: ExecPhases
  executionId: string
}

/** The lease and the server that an execution goes to, and what counts where the options are silent. */
export interface ExecTarget {
  client: SandboxClient
  leaseId: string
  taskId: string
  defaults: { timeoutMs: number; cwd: string | undefined }
}

/**
 * Runs a command under a lease.
 *
 * @throws {SlotpoolError} what `execute` throws; `CANCELLED` when `signal` was aborted, once nothing of the command is left;
 *   `CONFIG_INVALID` for a bad option.
 */
export async function runCommand<T extends string | Buffer>(
  target: ExecTarget,
  command: string,
  options: ExecOptions<T>,
): Promise<ExecResult<T>> {
  const beganAt = performance.now()
  checkOptions(options)
  const maxBytes = options.maxOutputBytes ?? defaultMaxOutputBytes
  const stdout = new StreamEnd<T>(maxBytes, options.encoding ?? 'utf8', options.onStdout)
  const stderr = new StreamEnd<T>(maxBytes, options.encoding ?? 'utf8', options.onStderr)
  const cwd = options.cwd ?? target.defaults.cwd
  const sentAt = performance.now()
  const end = await execute(target.client, {
    leaseId: target.leaseId,
    executionId: options.executionId ?? randomUUID(),
    request: {
      command,
      ...(cwd === undefined ? {} : { cwd }),
      ...(options.env === undefined ? {} : { env: options.env }),
      ...(options.allowEnv === undefined ? {} : { allowEnv: [...options.allowEnv] }),
      ...(options.noOutputTimeoutMs === undefined ? {} : { noOutputTimeoutMs: options.noOutputTimeoutMs }),
      timeoutMs: options.timeoutMs ?? target.defaults.timeoutMs,
      mergeStderr: options.mergeStderr ?? false,
    },
    sink: sinkOf(stdout, stderr),
    signal: options.signal,
  })
  const knownAt = performance.now()
  await stdout.finish()
  await stderr.finish()
  const whole = result(end, stdout, stderr, options.signal)
  return { ...whole, phases: phasesOf(end, knownAt - sentAt, performance.now() - beganAt) }
}

function result<T extends string | Buffer>(
  end: ExecutionEnd,
  stdout: StreamEnd<T>,
  stderr: StreamEnd<T>,
  signal: AbortSignal | undefined,
): Omit<ExecResult<T>, 'phases'> {
  if (end.cancelled) {
    throw new SlotpoolError(
      'CANCELLED',
      signal?.aborted
        ? 'the command was cancelled by its caller'
        : 'the command was cancelled: its lease was released or somebody ended it',
      {
        cause: signal?.reason,
        details: { executionId: end.executionId, stdout: stdout.text(), stderr: stderr.text() },
      },
    )
  }
  return {
    stdout: stdout.value(),
    stderr: stderr.value(),
    exitCode: end.exitCode,
    signal: end.signal,
    timedOut: end.timedOut,
    timeout: end.timeout,
    limit: end.limit,
    failure: failureOf(end),
    skippedEnv: end.skippedEnv,
    truncated: stdout.collector.truncated || stderr.collector.truncated,
    durationMs: end.durationMs,
    executionId: end.executionId,
  }
}

/** The one that came first is the one: a command that was ended since its time was up also has a signal. */
function failureOf({ exitCode, timedOut, limit }: ExecutionEnd): Failure | null {
  if (timedOut) return { kind: 'timeout', retryable: false }
  if (exitCode === 0) return null
  return { kind: limit === null ? 'command' : 'limit', retryable: false }
}

/** The server's clock is not ours, so what it spent is taken from what we waited. */
function phasesOf({ phases, durationMs: runMs }: ExecutionEnd, waitedMs: number, wholeMs: number): ExecPhases {
  const { queueMs, enterMs, drainMs } = phases
  const wireMs = Math.max(0, waitedMs - queueMs - enterMs - runMs - drainMs)
  return { clientMs: wholeMs - waitedMs, wireMs, queueMs, enterMs, runMs, drainMs }
}

/** Where one stream ends up: in the result, and in the caller's callback. */
class StreamEnd<T extends string | Buffer> {
  readonly collector: OutputCollector
  readonly #encoding: 'utf8' | 'buffer'
  readonly #callback: OutputCallback<T> | undefined
  readonly #decoder = new StringDecoder('utf8')

  constructor(maxBytes: number, encoding: 'utf8' | 'buffer', callback: OutputCallback<T> | undefined) {
    this.collector = new OutputCollector(maxBytes)
    this.#encoding = encoding
    this.#callback = callback
  }

  push(chunk: Buffer): unknown {
    this.collector.push(chunk)
    if (!this.#callback) return
    if (this.#encoding === 'buffer') return this.#callback(chunk as T)
    const text = this.#decoder.write(chunk)
    if (text !== '') return this.#callback(text as T)
  }

  /** Hands on what was held back for the rest of a character that never came. */
  async finish(): Promise<void> {
    const rest = this.#decoder.end()
    if (rest !== '' && this.#encoding === 'utf8') await this.#callback?.(rest as T)
  }

  text(): string {
    return this.collector.bytes().toString('utf8')
  }

  value(): T {
    return (this.#encoding === 'buffer' ? this.collector.bytes() : this.text()) as T
  }
}

function sinkOf<T extends string | Buffer>(stdout: StreamEnd<T>, stderr: StreamEnd<T>): OutputSink {
  return {
    onStdout: (chunk) => stdout.push(chunk),
    onStderr: (chunk) => stderr.push(chunk),
    onGap: (stream, bytes) => (stream === 'stdout' ? stdout : stderr).collector.miss(bytes),
  }
}

const optionNames: readonly (keyof ExecOptions)[] = [
  ...(['cwd', 'env', 'allowEnv', 'timeoutMs', 'noOutputTimeoutMs', 'maxOutputBytes', 'mergeStderr', 'encoding'] as const),
  ...(['signal', 'executionId', 'onStdout', 'onStderr'] as const),
]

function checkOptions(options: Omit<ExecOptions, 'encoding' | 'onStdout' | 'onStderr'> & { encoding?: unknown }): void {
  refuseUnknownOptions(options, optionNames)
  for (const name of ['timeoutMs', 'noOutputTimeoutMs', 'maxOutputBytes'] as const) {
    const value = options[name]
    if (value === undefined || (Number.isSafeInteger(value) && value >= 1 && value <= 2_147_483_000)) continue
    throw optionInvalid(name, value, 'a whole number from 1 to 2147483000')
  }
  const { encoding, allowEnv, mergeStderr, cwd } = options
  if (encoding !== undefined && encoding !== 'utf8' && encoding !== 'buffer') throw optionInvalid('encoding', encoding, 'utf8 or buffer')
  if (allowEnv !== undefined && !(Array.isArray(allowEnv) && allowEnv.every((one) => typeof one === 'string')))
    throw optionInvalid('allowEnv', allowEnv, 'an array of names')
  if (mergeStderr !== undefined && typeof mergeStderr !== 'boolean') throw optionInvalid('mergeStderr', mergeStderr, 'true or false')
  if (cwd !== undefined && typeof cwd !== 'string') throw optionInvalid('cwd', cwd, 'a path')
}

function optionInvalid(name: string, got: unknown, expected: string): SlotpoolError {
  return new SlotpoolError('CONFIG_INVALID', `option ${name}: got ${inspect(got)}, expected ${expected}`, {
    details: { variable: name, got },
  })
}

import type { SlotpoolError } from '../../errors.ts'
import type { Clock } from '../../sandbox/clock.ts'
import { type EnvironmentOf, slotEnvironment } from '../../sandbox/environment.ts'
import { Execution, type Outcome } from '../../sandbox/execution.ts'
import type { CheckedExecutionRequest, TimeoutKind } from '../../wire/execution.ts'
import type { LimitName } from '../../wire/limits.ts'

/** What a script is told of a command. */
export interface ScriptedCommand {
  command: string
  /** Where it would start; the workspace unless the caller said otherwise. */
  cwd: string
  /** The environment of the command: the slot's own, and what the caller added. */
  env: Readonly<Record<string, string>>
  /** The files of the slot by absolute path, to read and to change. */
  files: Map<string, Buffer>
  /** Aborted when the command times out, is cancelled, or its lease ends. */
  signal: AbortSignal
  /** Writes output as the command would, before it ends. */
  stdout(chunk: string | Buffer): void
  stderr(chunk: string | Buffer): void
}

/** How a scripted command ends. */
export interface ScriptedResult {
  /** Written before the end. */
  stdout?: string | Buffer
  stderr?: string | Buffer
  /** 0 to 255. Default: 0. */
  exitCode?: number
  /** Ended by this signal instead. */
  signal?: NodeJS.Signals
  /** A limit of the slot that it ran into. Default: none. */
  limit?: LimitName
}

/** Plays the part of bash. An error that it throws is a failure of slotpool, not of the command. */
export type Script = (command: ScriptedCommand) => ScriptedResult | Promise<ScriptedResult>

/** A command that a script answers: the rules of time, cancelling and output are those of a real one. */
export class ScriptedExecution extends Execution {
  readonly #script: Script
  readonly #files: Map<string, Buffer>
  readonly #workspace: string
  readonly #clock: Clock
  readonly #ending = new AbortController()
  readonly leftOpen = []
  readonly #environment: { env: Record<string, string>; skipped: string[] }
  #timedOut: TimeoutKind | null = null
  #failure: SlotpoolError | undefined
  #stopSilence: () => void = () => {}

  constructor(
    id: string,
    request: CheckedExecutionRequest,
    options: { script: Script; files: Map<string, Buffer>; slot: EnvironmentOf; clock: Clock },
  ) {
    super(id, request, Number.POSITIVE_INFINITY)
    this.#script = options.script
    this.#files = options.files
    this.#workspace = options.slot.view.workspace
    this.#clock = options.clock
    this.#environment = slotEnvironment(options.slot, request, id)
  }

  /** A script does not wait for readers: what it writes is held. */
  readOn(): void {}

  abandon(failure?: SlotpoolError): void {
    this.#failure ??= failure
    this.#ending.abort()
  }

  protected async interrupt(): Promise<void> {
    this.#ending.abort()
  }

  protected async perform(): Promise<Outcome> {
    const startedAt = performance.now()
    const stopTotal = this.#clock.after(this.request.timeoutMs, () => this.#timeUp('total'), true)
    this.#watchSilence()
    const ended = new Promise<undefined>((resolve) =>
      this.#ending.signal.addEventListener('abort', () => resolve(undefined), { once: true }),
    )
    try {
      const result = await Promise.race([this.#play(), ended])
      if (!result && this.#timedOut === null && this.#failure) throw this.#failure
      if (result?.stdout) this.#write('stdout', result.stdout)
      if (result?.stderr) this.#write('stderr', result.stderr)
      return {
        end: {
          executionId: this.id,
          exitCode: result && !result.signal ? (result.exitCode ?? 0) : null,
          signal: result ? (result.signal ?? null) : 'SIGKILL',
          timedOut: !result && this.#timedOut !== null,
          timeout: result ? null : this.#timedOut,
          limit: result?.limit ?? null,
          skippedEnv: this.#environment.skipped,
          cancelled: !result && this.#timedOut === null,
          durationMs: performance.now() - startedAt,
          phases: { queueMs: startedAt - this.receivedAtMs, enterMs: 0, drainMs: 0 },
          stdoutBytes: this.stdout.bytes,
          stderrBytes: this.stderr.bytes,
        },
      }
    } finally {
      stopTotal()
      this.#stopSilence()
    }
  }

  #timeUp(kind: TimeoutKind): void {
    this.#timedOut ??= kind
    this.#ending.abort()
  }

  #watchSilence(): void {
    const { noOutputTimeoutMs } = this.request
    if (noOutputTimeoutMs === undefined) return
    this.#stopSilence()
    this.#stopSilence = this.#clock.after(noOutputTimeoutMs, () => this.#timeUp('no-output'), true)
  }

  async #play(): Promise<ScriptedResult> {
    return this.#script({
      command: this.request.command,
      cwd: this.request.cwd ?? this.#workspace,
      env: this.#environment.env,
      files: this.#files,
      signal: this.#ending.signal,
      stdout: (chunk) => this.#write('stdout', chunk),
      stderr: (chunk) => this.#write('stderr', chunk),
    })
  }

  #write(stream: 'stdout' | 'stderr', chunk: string | Buffer): void {
    if (this.outcome) return
    this.#watchSilence()
    this[stream === 'stderr' && this.request.mergeStderr ? 'stdout' : stream].append(Buffer.from(chunk))
    this.emit('progress')
  }
}

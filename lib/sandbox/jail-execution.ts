import { isAbsolute } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { SlotpoolError } from '../errors.ts'
import type { CheckedExecutionRequest } from '../wire/execution.ts'
import type { EntryReport } from './entry.ts'
import { executionVariable, slotEnvironment } from './environment.ts'
import { Execution, type LeftOpen, type Outcome } from './execution.ts'
import type { Fifos } from './fifos.ts'
import type { Jail } from './jail/jail.ts'
import type { Launch, Launched } from './launch.ts'
import { launchForked, launchReady } from './launch-forked.ts'
import { launchSpawned } from './launch-spawned.ts'
import type { ExecutionGroup } from './limits/execution-group.ts'
import type { OutputLog } from './output-log.ts'
import type { OutputPipe } from './output-pipe.ts'
import { type ReadyShell, type ReadyShells, shellOrder } from './ready-shells.ts'
import type { SlotBounds } from './slot-bounds.ts'
import type { SlotPipes } from './slot-pipes.ts'
import type { Slot } from './slots.ts'
import { terminateExecution } from './terminate.ts'

/** How much later than its commands a jail may be seen to end. */
const jailEndMs = 100

/** Why a command was ended before it ended by itself: one of its times was up, a limit was reached, or somebody asked for it. */
type Cause = 'total' | 'no-output' | 'output' | 'disk' | 'cancelled'

/** What the executions of a slot have in common. */
export interface ExecutionMeans {
  fifos: Fifos
  slotPipes: SlotPipes
  /** Where shells can be made ready. */
  readyShells: ReadyShells | undefined
}

/** A command in a jail: the process that enters it, its pipes, its timeouts and its end. */
export class JailExecution extends Execution {
  readonly #jail: Jail
  readonly #bounds: SlotBounds
  readonly #fifos: Fifos
  readonly #slotPipes: SlotPipes
  readonly #readyShells: ReadyShells | undefined
  #launched: Launched | undefined
  #group: ExecutionGroup | null = null
  #pipes: readonly OutputPipe[] = []
  #ending: Promise<void> | undefined
  #exited = false
  #cause: Cause | undefined
  #silence: NodeJS.Timeout | undefined
  #abandoned = false
  #failure: SlotpoolError | undefined
  readonly #environment: ReturnType<typeof slotEnvironment>

  constructor(id: string, request: CheckedExecutionRequest, slot: Slot, means: ExecutionMeans) {
    super(id, request)
    this.#jail = slot.jail
    this.#bounds = slot.bounds
    this.#environment = slotEnvironment(slot.jail, request, id)
    this.#fifos = means.fifos
    this.#slotPipes = means.slotPipes
    this.#readyShells = means.readyShells
  }

  readOn(): void {
    const [stdout, stderr] = this.#pipes
    if (this.#exited) return
    if (stdout?.paused && !this.stdout.full) stdout.resume()
    if (stderr?.paused && !this.stderr.full) stderr.resume()
    this.#listenForSilence()
  }

  abandon(failure?: SlotpoolError): void {
    if (!this.#exited) {
      this.#failure ??= failure
      this.#cause ??= 'cancelled'
    }
    this.#abandoned = true
    if (this.outcome) this.#discardTheRest()
  }

  get leftOpen(): readonly LeftOpen[] {
    return this.#pipes
  }

  protected async interrupt(): Promise<void> {
    if (this.#exited) return
    this.#cause ??= 'cancelled'
    if (this.#launched) await this.#terminate()
  }

  /** Ends the command and all that it started, for the first cause that there is. */
  #endFor(cause: Cause): void {
    if (this.#exited) return
    this.#cause ??= cause
    this.#terminate().catch(() => {})
  }

  protected async perform(): Promise<Outcome> {
    const reached = await this.#bounds.watch(() => this.#endFor('disk'))
    const launchedAt = performance.now()
    const launched = await this.#launch().catch(async (error) => {
      reached()
      this.#group?.leave()
      // Whatever it failed of: what it was to be run in was on its way out.
      if (this.#failure) throw this.#failure
      throw (error as NodeJS.ErrnoException).code === 'E2BIG' ? tooLongForKernel(error) : error
    })
    const startedAt = performance.now()
    const timer = setTimeout(() => this.#endFor('total'), this.request.timeoutMs)
    this.#listenForSilence()
    try {
      const { exitCode, signal } = await launched.ended
      this.#exited = true
      const durationMs = performance.now() - startedAt
      clearTimeout(timer)
      await this.#ending
      await Promise.all(this.#pipes.map((pipe) => pipe.drain()))
      const drainMs = performance.now() - startedAt - durationMs
      const limit = reached()
      const cause = this.#cause
      if (this.#failure && (cause === undefined || cause === 'cancelled')) throw this.#failure
      if (signal === 'SIGKILL' && cause === undefined) await this.#blameJail()
      if (cause === undefined) this.#requireStarted(await launched.report)
      const timeout = cause === 'total' || cause === 'no-output' ? cause : null
      return {
        end: {
          executionId: this.id,
          exitCode: cause === undefined ? exitCode : null,
          signal: cause === undefined ? signal : 'SIGKILL',
          timedOut: timeout !== null,
          timeout,
          limit: cause === 'output' || cause === 'disk' ? cause : fileTooLong(exitCode, signal) ? 'disk' : limit,
          skippedEnv: this.#environment.skipped,
          cancelled: cause === 'cancelled',
          durationMs,
          phases: { queueMs: launchedAt - this.receivedAtMs, enterMs: startedAt - launchedAt, drainMs },
          stdoutBytes: this.stdout.bytes,
          stderrBytes: this.stderr.bytes,
        },
      }
    } finally {
      clearTimeout(timer)
      clearTimeout(this.#silence)
      // Behind the answer; the slot's end takes what is left.
      this.#group?.leave()
      this.#discardTheRest()
    }
  }

  async #launch(): Promise<Launched> {
    const launch: Launch = {
      executionId: this.id,
      command: this.request.command,
      cwd: this.#cwd,
      env: this.#environment.env,
      mergeStderr: this.request.mergeStderr,
      terms: this.#bounds.terms(),
      isWanted: () => {
        if (this.#cause) throw new SlotpoolError('CANCELLED', 'the execution was cancelled before it began')
      },
    }
    const order = this.#readyShells && shellOrder(launch.command, launch)
    const ready = order && this.#readyShells?.take(order)
    const launched = await (ready ? this.#launchReady(ready, launch) : this.#launchAnew(launch))
    if (order) this.#readyShells?.refill(order, launched.ended)
    this.#launched = launched
    this.#pipes = launched.outputs
    this.#listen(this.#pipes[0], this.stdout)
    this.#listen(this.#pipes[1], this.stderr)
    // It was to be ended while it was on its way.
    if (this.#cause) this.#terminate().catch(() => {})
    return launched
  }

  async #launchReady(ready: ReadyShell, launch: Launch): Promise<Launched> {
    this.#group = ready.group
    try {
      return await launchReady(ready, launch)
    } catch (error) {
      ready.drop()
      throw error
    }
  }

  async #launchAnew(launch: Launch): Promise<Launched> {
    this.#group = await this.#bounds.execution()
    const anew = { ...launch, terms: this.#bounds.terms(this.#group) }
    const { forkServer } = this.#jail
    return forkServer ? launchForked(forkServer, this.#slotPipes, anew) : launchSpawned(this.#jail, this.#fifos, anew)
  }

  get #cwd(): string {
    const { workspace } = this.#jail.view
    const { cwd = workspace } = this.request
    return isAbsolute(cwd) ? cwd : `${workspace}/${cwd}`
  }

  #listen(pipe: OutputPipe | undefined, log: OutputLog): void {
    pipe?.listen((chunk) => {
      // After the outcome stands, a background child may still write. It must not be hurt by that, but nobody reads it.
      if (this.outcome) return
      log.append(chunk)
      if (log.full && !this.#exited) pipe.pause()
      this.#listenForSilence()
      const { outputBytes } = this.#bounds.limits
      if (outputBytes !== null && this.stdout.bytes + this.stderr.bytes > outputBytes.value) this.#endFor('output')
      // Once it has ended, its outcome is told of in a moment, and this with it.
      if (!this.#exited) this.emit('progress')
    })
  }

  /** Begins to count the time without output anew. While a reader keeps the command waiting, it is not the command that is silent. */
  #listenForSilence(): void {
    const { noOutputTimeoutMs } = this.request
    clearTimeout(this.#silence)
    if (noOutputTimeoutMs === undefined || this.#exited || this.#pipes.some((pipe) => pipe.paused)) return
    this.#silence = setTimeout(() => this.#endFor('no-output'), noOutputTimeoutMs)
  }

  #discardTheRest(): void {
    for (const pipe of this.#pipes) this.#abandoned ? pipe.close() : pipe.discard()
  }

  #terminate(): Promise<void> {
    const marks = {
      slot: this.#jail,
      candidates: () => this.#jail.processes(),
      leader: this.#launched?.leader as number,
      environmentEntry: `${executionVariable}=${this.id}`,
      ...(this.#jail.adopter === undefined ? {} : { adopter: this.#jail.adopter }),
    }
    this.#ending ??= (this.#group ? this.#group.end() : terminateExecution(marks)).finally(() => {
      this.#ending = undefined
    })
    return this.#ending
  }

  /** A jail that ends takes its commands with it, and the kernel reports theirs first. That is no doing of theirs. */
  async #blameJail(): Promise<void> {
    const over = await Promise.race([this.#jail.ended.then(() => true), delay(jailEndMs, false)])
    if (over) throw new SlotpoolError('JAIL_FAILED', 'the jail of this slot ended while the command ran', { retryable: false })
  }

  /** What kept the command from being started is never taken for its exit code. */
  #requireStarted({ started, noCwd, tooLong, reason }: EntryReport): void {
    if (started) return
    if (tooLong) throw tooLongForKernel()
    if (noCwd !== undefined) {
      const cwd = this.#cwd
      throw new SlotpoolError('CWD_NOT_FOUND', `got cwd ${cwd}, expected a folder that the slot's user may enter: ${noCwd}`, {
        details: { cwd, reason: noCwd },
      })
    }
    const said = reason ?? this.stderr.attach(0).next().chunk?.toString().trim() ?? ''
    throw new SlotpoolError('JAIL_FAILED', `the command could not be started in its slot: ${said || 'its jail has ended'}`)
  }
}

/** Whether the kernel ended the command, or the last of its programs, because a file would have been longer than it may be (SIGXFSZ, 25). */
function fileTooLong(exitCode: number | null, signal: NodeJS.Signals | null): boolean {
  return signal === 'SIGXFSZ' || exitCode === 128 + 25
}

/** Each passes on its own, but the kernel bounds a program's arguments and its environment, singly and together (execve(2)). */
function tooLongForKernel(cause?: unknown): SlotpoolError {
  return new SlotpoolError(
    'COMMAND_INVALID',
    'got a command with an environment that are longer than the kernel takes; write them to a file',
    {
      cause,
      details: { reason: 'length' },
    },
  )
}

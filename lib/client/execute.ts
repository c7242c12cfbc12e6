import { setTimeout as delay } from 'node:timers/promises'
import { SlotpoolError } from '../errors.ts'
import { checkCommand } from '../wire/command.ts'
import { checkEnv } from '../wire/env.ts'
import { type ExecutionEnd, type ExecutionRequest, executionEnd } from '../wire/execution.ts'
import { type FrameType, frameType } from '../wire/frames.ts'
import { executionId as executionIdSchema } from '../wire/lease.ts'
import { Cancellation } from './cancellation.ts'
import { ChannelsClosed } from './execution-channels.ts'
import type { SandboxClient } from './sandbox-client.ts'

/** How long a lost connection is tried to be taken up again: 0.1, 0.2, 0.4 … s apart, at most two. */
const reconnectPatienceMs = 15_000
const firstPauseMs = 100
const longestPauseMs = 2_000

/** Where the output of an execution goes. A returned promise makes the stream, and in the end the command, wait for it. */
export interface OutputSink {
  onStdout(chunk: Buffer): unknown
  onStderr(chunk: Buffer): unknown
  /** Output that the server no longer had when the connection was taken up again. */
  onGap(stream: 'stdout' | 'stderr', bytes: number): void
}

/** What an execution is run with. Without a request it is one that already runs, or ran: its output is read from the start. */
export interface ExecuteOptions {
  leaseId: string
  executionId: string
  request?: ExecutionRequest
  sink: OutputSink
  /** When aborted, the command and all that it started are ended. */
  signal?: AbortSignal | undefined
}

/**
 * Runs a command and resolves with how it ended. It is sent once: after a lost connection the client asks for what became of that id.
 *
 * @throws {SlotpoolError} `EXECUTION_OUTCOME_UNKNOWN` when the server cannot be reached again, be it to cancel; `CANCELLED` once an aborted command is
 *   known to be gone; `REQUEST_INVALID` for a bad id; and whatever the server refused it with. What the sink throws is thrown on as it is,
 *   once the command that it was to take the output of is gone.
 */
export async function execute(client: SandboxClient, options: ExecuteOptions): Promise<ExecutionEnd> {
  const { leaseId, executionId, request, sink, signal } = options
  checkExecutionId(executionId)
  if (request) {
    checkCommand(request.command)
    checkEnv(request.env ?? {})
  }
  if (signal?.aborted) throw new SlotpoolError('CANCELLED', 'the command was cancelled before it was sent', { cause: signal.reason })

  const cancellation = signal && new Cancellation(client, leaseId, executionId, signal)
  try {
    return await new Attempt(client, leaseId, executionId, sink, cancellation?.unreachable).follow(request)
  } catch (error) {
    cancellation?.giveUp()
    if (!(error instanceof SinkFailure)) throw error
    // Who only looks on leaves the command to those who started it.
    if (request) await client.cancel(leaseId, executionId).catch(() => {})
    throw error.thrown
  } finally {
    await cancellation?.end()
  }
}

function checkExecutionId(executionId: string): void {
  const result = executionIdSchema.safeParse(executionId)
  if (result.success) return
  throw new SlotpoolError('REQUEST_INVALID', `execution id: got ${JSON.stringify(executionId)}, ${result.error.issues[0]?.message}`, {
    details: { executionId },
  })
}

/** What a sink threw: no failure of the connection. */
class SinkFailure {
  readonly thrown: unknown

  constructor(thrown: unknown) {
    this.thrown = thrown
  }
}

/** Follows one execution over as many connections as it takes. */
class Attempt {
  readonly #client: SandboxClient
  readonly #leaseId: string
  readonly #executionId: string
  readonly #sink: OutputSink
  /** Aborted when the command was to be cancelled and nobody is there to do it. */
  readonly #unreachable: AbortSignal | undefined
  #stdoutBytes = 0
  #stderrBytes = 0
  /** When the server last may have had the request, over a channel that it had answered. */
  #sentAtMs: number | undefined

  constructor(client: SandboxClient, leaseId: string, executionId: string, sink: OutputSink, unreachable: AbortSignal | undefined) {
    this.#client = client
    this.#leaseId = leaseId
    this.#executionId = executionId
    this.#sink = sink
    this.#unreachable = unreachable
  }

  async follow(request: ExecutionRequest | undefined): Promise<ExecutionEnd> {
    try {
      return await this.#followOn(request)
    } catch (error) {
      if (!this.#unreachable?.aborted || error instanceof SinkFailure) throw error
      const { reason } = this.#unreachable
      throw unknownOutcome(`it was to be cancelled, but ${(reason as Error).message}`, reason)
    }
  }

  async #followOn(request: ExecutionRequest | undefined): Promise<ExecutionEnd> {
    let lost: SlotpoolError
    try {
      return await this.#read(request)
    } catch (error) {
      if (!isLost(error) || this.#sentAtMs === undefined) throw error
      lost = error
    }
    let giveUpAt = Date.now() + reconnectPatienceMs
    let pauseMs = firstPauseMs
    while (Date.now() < giveUpAt && !isClosed(lost)) {
      await delay(pauseMs, undefined, this.#unreachable && { signal: this.#unreachable })
      this.#sentAtMs = undefined
      try {
        return await this.#read(undefined)
      } catch (error) {
        if (!isLost(error)) throw request ? await this.#afterLoss(error, lost) : error
        lost = error
      }
      // A connection that held for a while was a good one, and losing it is a new loss: a long command may outlive many.
      if (this.#sentAtMs !== undefined && Date.now() - this.#sentAtMs > pauseMs) {
        giveUpAt = Date.now() + reconnectPatienceMs
        pauseMs = firstPauseMs
      } else pauseMs = Math.min(pauseMs * 2, longestPauseMs)
    }
    throw unknownOutcome(isClosed(lost) ? lost.message : `${lost.message}, for ${reconnectPatienceMs / 1000} s`, lost)
  }

  /** What it means when the server is there again but does not know the execution or the lease. */
  async #afterLoss(error: unknown, lost: SlotpoolError): Promise<unknown> {
    if (!(error instanceof SlotpoolError)) return error
    if (error.code === 'EXECUTION_NOT_FOUND') {
      const late = await this.#refuse()
      if (late) return late
      return new SlotpoolError('SERVER_UNREACHABLE', `the command did not reach the sandbox server and was not run: ${lost.message}`, {
        cause: lost,
      })
    }
    if (['LEASE_NOT_FOUND', 'LEASE_LOST'].includes(error.code)) return unknownOutcome(error.message, error)
    return error
  }

  /** Keeps the command from running if its request is still on its way. Gives the error to throw when it did run, or may have. */
  async #refuse(): Promise<SlotpoolError | undefined> {
    try {
      await this.#client.cancel(this.#leaseId, this.#executionId, this.#unreachable)
      return unknownOutcome('it came late, after it had been asked for, and was ended', undefined)
    } catch (error) {
      if (!(error instanceof SlotpoolError)) throw error
      return error.code === 'EXECUTION_NOT_FOUND' ? undefined : unknownOutcome(error.message, error)
    }
  }

  /** Follows it over one channel, from where the last one broke. Only with a request can it be begun by that. */
  async #read(request: ExecutionRequest | undefined): Promise<ExecutionEnd> {
    const { channels, connection } = this.#client
    let answer: ExecutionEnd | SlotpoolError | undefined
    let json: Buffer[] = []
    const onFrame = (type: FrameType, payload: Buffer, last: boolean): Promise<unknown> | undefined => {
      if (type === frameType.stdout || type === frameType.stderr) {
        if (type === frameType.stdout) this.#stdoutBytes += payload.length
        else this.#stderrBytes += payload.length
        return this.#handOn(type, payload)
      }
      json.push(payload)
      if (!last) return
      const value: unknown = JSON.parse(Buffer.concat(json).toString())
      json = []
      if (type === frameType.gap) this.#skip(value as { stream: 'stdout' | 'stderr'; bytes: number })
      else if (type === frameType.end) answer = executionEnd.parse(value)
      else answer = SlotpoolError.fromBody(value as Parameters<typeof SlotpoolError.fromBody>[0])
      return undefined
    }
    const asked = {
      leaseId: this.#leaseId,
      executionId: this.#executionId,
      stdout: this.#stdoutBytes,
      stderr: this.#stderrBytes,
      ...(request ? { request } : {}),
    }
    const onSent = (): void => {
      this.#sentAtMs = Date.now()
    }
    try {
      await channels.ask(asked, { onFrame }, this.#unreachable, onSent)
    } catch (error) {
      if (error instanceof SinkFailure) throw error
      if (error instanceof RangeError) {
        throw new SlotpoolError('PROTOCOL_MISMATCH', `the sandbox server at ${connection.where} answered with ${error.message}`, {
          cause: error,
        })
      }
      throw connection.failure(error)
    }
    if (answer instanceof SlotpoolError) throw answer
    return answer as ExecutionEnd
  }

  /** Hands output to the sink; what that throws, now or later, is thrown as a {@link SinkFailure}. */
  #handOn(type: FrameType, payload: Buffer): Promise<unknown> | undefined {
    try {
      const returned = type === frameType.stdout ? this.#sink.onStdout(payload) : this.#sink.onStderr(payload)
      if (!(returned instanceof Promise)) return undefined
      const handled = returned.catch((error: unknown) => {
        throw new SinkFailure(error)
      })
      // It is waited for soon; until then, and when something else fails first, its failure is nobody's yet.
      handled.catch(() => {})
      return handled
    } catch (error) {
      throw new SinkFailure(error)
    }
  }

  #skip(gap: { stream: 'stdout' | 'stderr'; bytes: number }): void {
    if (gap.stream === 'stdout') this.#stdoutBytes += gap.bytes
    else this.#stderrBytes += gap.bytes
    this.#sink.onGap(gap.stream, gap.bytes)
  }
}

function isLost(error: unknown): error is SlotpoolError {
  return error instanceof SlotpoolError && error.code === 'SERVER_UNREACHABLE'
}

/** There is no taking it up again. */
function isClosed(error: SlotpoolError): boolean {
  return error.cause instanceof ChannelsClosed
}

function unknownOutcome(reason: string, cause: unknown): SlotpoolError {
  return new SlotpoolError(
    'EXECUTION_OUTCOME_UNKNOWN',
    `the connection was lost while the command ran, and its outcome cannot be known: ${reason}`,
    {
      cause,
    },
  )
}

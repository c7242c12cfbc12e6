import { randomBytes } from 'node:crypto'
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

/**
 * How long a lost connection is tried to be taken up again: 0.1, 0.2, 0.4 … s apart, at most two. For as long as the command may still run, it is tried
 * in any case; a server that is known to be gone is not.
 */
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
    if (request.env !== undefined) checkEnv(request.env)
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

const processWord = randomBytes(9).toString('base64url')
let attempts = 0

/** A word that no other attempt of any process has. */
function nextAttempt(): string {
  return `${processWord}-${(attempts++).toString(36)}`
}

/** Follows one execution over as many connections as it takes. */
class Attempt {
  readonly #client: SandboxClient
  readonly #leaseId: string
  readonly #executionId: string
  readonly #sink: OutputSink
  /** Aborted when the command was to be cancelled and nobody is there to do it. */
  readonly #unreachable: AbortSignal | undefined
  readonly #attempt = nextAttempt()
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
      if (!isLost(error)) throw error
      if (this.#sentAtMs === undefined) throw closedBy(error)?.gone ?? error
      lost = error
    }
    const endsBy = this.#sentAtMs + (request?.timeoutMs ?? 0)
    const patience = (): number => Math.max(performance.now(), endsBy) + reconnectPatienceMs
    const lostAt = performance.now()
    let giveUpAt = patience()
    let pauseMs = firstPauseMs
    while (performance.now() < giveUpAt && !closedBy(lost)) {
      await delay(pauseMs, undefined, this.#unreachable && { signal: this.#unreachable })
      this.#sentAtMs = undefined
      try {
        return await this.#read(undefined)
      } catch (error) {
        lost = isLost(error) ? error : await this.#afterLoss(error, request, lost)
      }
      // A connection that held for a while was a good one, and losing it is a new loss: a long command may outlive many.
      if (this.#sentAtMs !== undefined && performance.now() - this.#sentAtMs > pauseMs) {
        giveUpAt = patience()
        pauseMs = firstPauseMs
      } else pauseMs = Math.min(pauseMs * 2, longestPauseMs)
    }
    const closed = closedBy(lost)
    if (closed) throw unknownOutcome(closed.message, closed.gone ?? lost)
    throw unknownOutcome(`${lost.message}, for ${Math.round((performance.now() - lostAt) / 1000)} s`, lost)
  }

  /**
   * What it means when the server is there again and knows nothing of the execution or the lease. Resolves with why it was lost when there is more to
   * ask.
   *
   * @throws {SlotpoolError} what is known of the execution then.
   */
  async #afterLoss(error: unknown, request: ExecutionRequest | undefined, lost: SlotpoolError): Promise<SlotpoolError> {
    if (!request || !(error instanceof SlotpoolError)) throw error
    if (error.code === 'EXECUTION_NOT_FOUND') return this.#refuse(lost)
    throw isOfAnother(error) ? unknownOutcome(error.message, error) : error
  }

  /**
   * Keeps the command from running if its request is still on its way. Where it has come meanwhile it is followed.
   *
   * @throws {SlotpoolError} `SERVER_UNREACHABLE`: this attempt did not run it, and never will. It can be asked for again, by the same id.
   */
  async #refuse(lost: SlotpoolError): Promise<SlotpoolError> {
    let refused: boolean
    try {
      refused = await this.#client.refuse(this.#leaseId, this.#executionId, this.#attempt, this.#unreachable)
    } catch (error) {
      if (isLost(error)) return error
      throw isOfAnother(error) ? unknownOutcome((error as SlotpoolError).message, error) : error
    }
    if (!refused) return lost
    throw new SlotpoolError('SERVER_UNREACHABLE', `the command did not reach the sandbox server and was not run: ${lost.message}`, {
      cause: lost,
    })
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
      ...(request ? { request, attempt: this.#attempt } : {}),
    }
    const onSent = (): void => {
      this.#sentAtMs = performance.now()
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

/** What a server says that never had the command: it was started anew, or another one is at that address now. */
function isOfAnother(error: unknown): boolean {
  if (!(error instanceof SlotpoolError)) return false
  if (error.code === 'LEASE_LOST') return error.details.restarted === true
  return ['UNAUTHORIZED', 'PROTOCOL_MISMATCH', 'ROUTE_NOT_FOUND'].includes(error.code)
}

/** What ended a connection that cannot be taken up again. */
function closedBy({ cause }: SlotpoolError): ChannelsClosed | undefined {
  return cause instanceof ChannelsClosed ? cause : undefined
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

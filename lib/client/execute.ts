import { setTimeout as delay } from 'node:timers/promises'
import { SlotpoolError } from '../errors.ts'
import { checkCommand } from '../wire/command.ts'
import { type ExecutionEnd, type ExecutionRequest, executionEnd } from '../wire/execution.ts'
import { FrameReader, frameType } from '../wire/frames.ts'
import { paths } from '../wire/protocol.ts'
import type { SandboxClient } from './sandbox-client.ts'

/** How long a lost connection is tried to be taken up again: 0.1, 0.2, 0.4 … s apart. */
const reconnectPatienceMs = 15_000

/** Where the output of an execution goes. A returned promise makes the stream, and in the end the command, wait for it. */
export interface OutputSink {
  onStdout(chunk: Buffer): void | Promise<void>
  onStderr(chunk: Buffer): void | Promise<void>
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
 * @throws {SlotpoolError} `EXECUTION_OUTCOME_UNKNOWN` when the server cannot be reached again; `CANCELLED` once an aborted command is
 *   known to be gone; and whatever the server refused it with.
 */
export async function execute(client: SandboxClient, options: ExecuteOptions): Promise<ExecutionEnd> {
  const { leaseId, executionId, request, sink, signal } = options
  if (request) checkCommand(request.command)
  if (signal?.aborted) throw new SlotpoolError('CANCELLED', 'the command was cancelled before it was sent', { cause: signal.reason })

  const attempt = new Attempt(client, paths.execution(leaseId, executionId), sink)
  let cancelling: Promise<void> | undefined
  const onAbort = (): void => {
    cancelling = client.cancel(leaseId, executionId).catch(() => {})
  }
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    return await attempt.follow(request)
  } finally {
    signal?.removeEventListener('abort', onAbort)
    await cancelling
  }
}

/** Follows one execution over as many connections as it takes. */
class Attempt {
  readonly #client: SandboxClient
  readonly #path: string
  readonly #sink: OutputSink
  #stdoutBytes = 0
  #stderrBytes = 0

  constructor(client: SandboxClient, path: string, sink: OutputSink) {
    this.#client = client
    this.#path = path
    this.#sink = sink
  }

  async follow(request: ExecutionRequest | undefined): Promise<ExecutionEnd> {
    let lost: SlotpoolError
    try {
      return await this.#read(request ? { method: 'POST', path: this.#path, json: request } : { method: 'GET', path: this.#path })
    } catch (error) {
      if (!isLost(error) || wasNotSent(error)) throw error
      lost = error
    }
    const giveUpAt = Date.now() + reconnectPatienceMs
    for (let pauseMs = 100; Date.now() < giveUpAt; pauseMs *= 2) {
      await delay(pauseMs)
      try {
        return await this.#read({ method: 'GET', path: `${this.#path}?stdout=${this.#stdoutBytes}&stderr=${this.#stderrBytes}` })
      } catch (error) {
        if (!isLost(error)) throw request ? this.#afterLoss(error, lost) : error
        lost = error
      }
    }
    throw unknownOutcome(`${lost.message}, for ${reconnectPatienceMs / 1000} s`, lost)
  }

  /** What it means when the server is there again but does not know the execution or the lease. */
  #afterLoss(error: unknown, lost: SlotpoolError): unknown {
    if (!(error instanceof SlotpoolError)) return error
    if (error.code === 'EXECUTION_NOT_FOUND') {
      return new SlotpoolError('SERVER_UNREACHABLE', `the command did not reach the sandbox server and was not run: ${lost.message}`, {
        cause: lost,
      })
    }
    if (['LEASE_NOT_FOUND', 'LEASE_LOST'].includes(error.code)) return unknownOutcome(error.message, error)
    return error
  }

  async #read(options: { method: 'GET' | 'POST'; path: string; json?: unknown }): Promise<ExecutionEnd> {
    const { connection } = this.#client
    const response = await connection.send(options)
    let end: ExecutionEnd | undefined
    let waiting: Promise<void> | undefined
    let json: Buffer[] = []
    const reader = new FrameReader((type, payload, last) => {
      if (type === frameType.stdout || type === frameType.stderr) {
        const handled = type === frameType.stdout ? this.#sink.onStdout(payload) : this.#sink.onStderr(payload)
        if (type === frameType.stdout) this.#stdoutBytes += payload.length
        else this.#stderrBytes += payload.length
        if (handled) waiting = waiting ? waiting.then(() => handled) : handled
        return
      }
      json.push(payload)
      if (!last) return
      const value: unknown = JSON.parse(Buffer.concat(json).toString())
      json = []
      if (type === frameType.error) throw SlotpoolError.fromBody(value as Parameters<typeof SlotpoolError.fromBody>[0])
      if (type === frameType.gap) this.#skip(value as { stream: 'stdout' | 'stderr'; bytes: number })
      else end = executionEnd.parse(value)
    })
    try {
      for await (const chunk of response.body) {
        reader.push(chunk as Buffer)
        if (waiting) {
          await waiting
          waiting = undefined
        }
      }
    } catch (error) {
      throw connection.failure(error)
    }
    // A stream that stops short says nothing of how the command ended.
    if (!end) throw new SlotpoolError('SERVER_UNREACHABLE', `the sandbox server at ${connection.where} stopped in the middle of its answer`)
    return end
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

/** No connection was made, so the command was not sent. */
function wasNotSent(error: SlotpoolError): boolean {
  const code = (error.cause as { code?: string } | undefined)?.code ?? ''
  return ['ECONNREFUSED', 'ENOENT', 'EHOSTUNREACH', 'UND_ERR_CONNECT_TIMEOUT'].includes(code)
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

import { setMaxListeners } from 'node:events'
import type { Socket } from 'node:net'
import { type Dispatcher, errors, Pool } from 'undici'
import type { z } from 'zod'
import { SlotpoolError } from '../errors.ts'
import type { Endpoint } from '../wire/endpoint.ts'
import { readErrorBody } from '../wire/error.ts'
import { maxJsonBytes, paths } from '../wire/protocol.ts'
import { Answer, type AnswerSink } from './answer.ts'
import { connectTimeoutMs } from './patience.ts'

export interface RequestOptions {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  path: string
  /** Sent as JSON. */
  json?: unknown
  /** Sent as it is, with `bytes` as its announced length, or in chunks where that is not known. */
  content?: { body: Dispatcher.DispatchOptions['body']; bytes: number | undefined }
  signal?: AbortSignal | undefined
  /** How long the server may take to begin its answer. Default: for ever; a command may be silent for long. */
  headersTimeoutMs?: number
}

/** Of the paths of what is asked under a lease. */
const leasePrefix = `${paths.leases}/`

/** Kept-alive HTTP connections to one sandbox server, and the translation of its failures. */
export class Connection {
  readonly #endpoint: Endpoint
  readonly #headers: Readonly<Record<string, string>>
  /** Undefined when it was closed: whoever still holds this, as rosters do, holds no connections with it. */
  #pool: Pool | undefined
  #gone: SlotpoolError | undefined

  constructor(endpoint: Endpoint, headers: Readonly<Record<string, string>>) {
    this.#endpoint = endpoint
    this.#headers = headers
    const { url, socketPath, connect } = endpoint
    this.#pool = new Pool(url, {
      connect: connect
        ? // It may not be told before it has been returned to.
          (_options, callback) => queueMicrotask(() => callback(null, connect() as Socket))
        : { timeout: connectTimeoutMs, ...(socketPath === undefined ? {} : { socketPath }) },
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: 60_000,
    })
  }

  /**
   * Sends a request; resolves with an answer of status 2xx, its body still to be read.
   *
   * @throws {SlotpoolError} the error the server answered with; `SERVER_UNREACHABLE` when there was no answer; `CANCELLED`.
   */
  async send(options: RequestOptions): Promise<Dispatcher.ResponseData> {
    const { signal } = options
    if (signal) setMaxListeners(0, signal)
    try {
      const response = await this.#open().request({ ...this.#dispatched(options), ...(signal ? { signal } : {}) })
      if (isSuccess(response.statusCode)) return response
      throw this.#refusal(response.statusCode, Buffer.from(await response.body.arrayBuffer()))
    } catch (error) {
      throw this.failure(error, signal, options.path)
    }
  }

  /**
   * Sends a request and hands the content of an answer of status 2xx to `sink` as it comes; resolves when it was whole.
   *
   * @throws {SlotpoolError} the error the server answered with. Whatever else went wrong, and what the sink throws, is thrown as it is.
   */
  async read(options: RequestOptions, sink: AnswerSink): Promise<void> {
    const answer = new Answer(sink, options.signal)
    this.#open().dispatch(this.#dispatched(options), answer)
    const { status, refusal } = await answer.over
    if (!isSuccess(status)) throw this.#refusal(status, refusal)
  }

  /** Sends a request and checks its JSON answer against `schema`. */
  async json<T extends z.ZodType>(schema: T, options: RequestOptions): Promise<z.output<T>> {
    let answer: unknown
    try {
      const chunks: Buffer[] = []
      await this.read(options, { onChunk: (chunk) => void chunks.push(chunk) })
      answer = JSON.parse(Buffer.concat(chunks).toString('utf8'))
    } catch (error) {
      throw this.failure(error, options.signal, options.path)
    }
    const result = schema.safeParse(answer)
    if (result.success) return result.data
    throw new SlotpoolError(
      'PROTOCOL_MISMATCH',
      `the sandbox server at ${this.where} answered ${options.path} with something else than expected`,
      {
        cause: result.error,
      },
    )
  }

  /** Sends a request whose answer has no content. */
  async empty(options: RequestOptions): Promise<void> {
    try {
      await this.read(options, { onChunk: () => undefined })
    } catch (error) {
      throw this.failure(error, options.signal, options.path)
    }
  }

  /** Where the server is, for people. */
  get where(): string {
    return this.#endpoint.socketPath ?? this.#endpoint.url
  }

  /** What a broken request or answer becomes: under a lease, where the server is known to be gone, what was said when this was closed. */
  failure(error: unknown, signal?: AbortSignal | undefined, path?: string): SlotpoolError {
    if (error instanceof SlotpoolError) return error
    if (signal?.aborted) return new SlotpoolError('CANCELLED', 'the request was given up by its caller', { cause: signal.reason ?? error })
    if (this.#gone && path?.startsWith(leasePrefix)) return this.#gone
    const reason = error instanceof errors.SocketError ? 'the connection was closed' : (error as Error).message
    return new SlotpoolError('SERVER_UNREACHABLE', `the sandbox server at ${this.where} did not answer: ${reason}`, { cause: error })
  }

  async close(gone?: SlotpoolError): Promise<void> {
    this.#gone = gone
    const pool = this.#pool
    this.#pool = undefined
    await pool?.destroy()
  }

  #open(): Pool {
    if (this.#pool) return this.#pool
    throw new Error('this client was closed')
  }

  /** @throws {SlotpoolError} `REQUEST_INVALID` for JSON that is too long. */
  #dispatched({ method, path, json, content, headersTimeoutMs }: RequestOptions): Dispatcher.DispatchOptions {
    const timeout = headersTimeoutMs === undefined ? {} : { headersTimeout: headersTimeoutMs }
    if (json !== undefined) {
      const body = Buffer.from(JSON.stringify(json))
      // The server would close the connection on it, and its reason be lost on the way.
      if (body.length > maxJsonBytes) {
        throw new SlotpoolError('REQUEST_INVALID', `got a request of ${body.length} bytes, expected at most ${maxJsonBytes}`)
      }
      return { method, path, headers: { ...this.#headers, 'content-type': 'application/json' }, body, ...timeout }
    }
    if (!content) return { method, path, headers: this.#headers, ...timeout }
    const length = content.bytes === undefined ? {} : { 'content-length': String(content.bytes) }
    return {
      method,
      path,
      headers: { ...this.#headers, 'content-type': 'application/octet-stream', ...length },
      body: content.body ?? null,
      ...timeout,
    }
  }

  #refusal(status: number, content: Buffer): SlotpoolError {
    try {
      return readErrorBody(content.toString('utf8'))
    } catch (cause) {
      return new SlotpoolError('PROTOCOL_MISMATCH', `${this.where} answered with ${status} and no error of a sandbox server`, {
        cause,
      })
    }
  }
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300
}

import { type Dispatcher, errors, Pool } from 'undici'
import type { z } from 'zod'
import { SlotpoolError } from '../errors.ts'
import type { Endpoint } from '../wire/endpoint.ts'
import { errorBody } from '../wire/error.ts'
import { maxJsonBytes, protocolHeader, protocolVersion } from '../wire/protocol.ts'

/** How long a connection may take to be made. Both ends are on one machine or in one network. */
const connectTimeoutMs = 5_000

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

/** Kept-alive HTTP connections to one sandbox server, and the translation of its failures. */
export class Connection {
  readonly #endpoint: Endpoint
  readonly #headers: Record<string, string>
  readonly #pool: Pool

  constructor(endpoint: Endpoint, token: string) {
    this.#endpoint = endpoint
    this.#headers = { authorization: `Bearer ${token}`, [protocolHeader]: String(protocolVersion) }
    this.#pool = new Pool(endpoint.url, {
      connect: { timeout: connectTimeoutMs, ...(endpoint.socketPath === undefined ? {} : { socketPath: endpoint.socketPath }) },
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
    const { method, path, json, content, signal, headersTimeoutMs } = options
    const headers: Record<string, string> = { ...this.#headers }
    if (json !== undefined) headers['content-type'] = 'application/json'
    if (content) {
      headers['content-type'] = 'application/octet-stream'
      if (content.bytes !== undefined) headers['content-length'] = String(content.bytes)
    }
    const text = json === undefined ? undefined : JSON.stringify(json)
    // The server would close the connection on it, and its reason be lost on the way.
    if (text !== undefined && Buffer.byteLength(text) > maxJsonBytes) {
      throw new SlotpoolError('REQUEST_INVALID', `got a request of ${Buffer.byteLength(text)} bytes, expected at most ${maxJsonBytes}`)
    }
    const body = text ?? content?.body ?? null
    let response: Dispatcher.ResponseData
    try {
      response = await this.#pool.request({
        method,
        path,
        headers,
        body,
        ...(signal ? { signal } : {}),
        ...(headersTimeoutMs === undefined ? {} : { headersTimeout: headersTimeoutMs }),
      })
    } catch (error) {
      throw this.failure(error, signal)
    }
    if (response.statusCode >= 200 && response.statusCode < 300) return response
    throw await this.#refusal(response, signal)
  }

  /** Sends a request and checks its JSON answer against `schema`. */
  async json<T extends z.ZodType>(schema: T, options: RequestOptions): Promise<z.output<T>> {
    const response = await this.send(options)
    let answer: unknown
    try {
      answer = await response.body.json()
    } catch (error) {
      throw this.failure(error, options.signal)
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
    const response = await this.send(options)
    await response.body.dump()
  }

  /** Where the server is, for people. */
  get where(): string {
    return this.#endpoint.socketPath ?? this.#endpoint.url
  }

  /** What a broken request or answer becomes. */
  failure(error: unknown, signal?: AbortSignal | undefined): SlotpoolError {
    if (error instanceof SlotpoolError) return error
    if (signal?.aborted) return new SlotpoolError('CANCELLED', 'the request was given up by its caller', { cause: signal.reason ?? error })
    const reason = error instanceof errors.SocketError ? 'the connection was closed' : (error as Error).message
    return new SlotpoolError('SERVER_UNREACHABLE', `the sandbox server at ${this.where} did not answer: ${reason}`, { cause: error })
  }

  /** Nothing is sent any more. */
  get closed(): boolean {
    return this.#pool.closed || this.#pool.destroyed
  }

  async close(): Promise<void> {
    await this.#pool.destroy()
  }

  async #refusal(response: Dispatcher.ResponseData, signal: AbortSignal | undefined): Promise<SlotpoolError> {
    let text: string
    try {
      text = await response.body.text()
    } catch (error) {
      return this.failure(error, signal)
    }
    try {
      return SlotpoolError.fromBody(errorBody.parse(JSON.parse(text)).error)
    } catch (cause) {
      return new SlotpoolError('PROTOCOL_MISMATCH', `${this.where} answered with ${response.statusCode} and no error of a sandbox server`, {
        cause,
      })
    }
  }
}

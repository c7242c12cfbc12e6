import { setMaxListeners } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import axios, { type AxiosInstance, isCancel } from 'axios'
import type { z } from 'zod'
import type { NomadConnection } from '../config.ts'
import { SlotpoolError } from '../errors.ts'
import { pauseAfterLoss } from '../reconnect.ts'
import { connectionAgent } from './connection.ts'
import { badAnswer, badStatus, noAnswer, type RequestLabel } from './request-error.ts'

/** No answer for so long, and the agent counts as gone: a healthy one answers from memory. */
const defaultTimeoutMs = 15_000

const defaultCrowdedPatienceMs = 10_000
const crowdedPauseMs = 100

/** The largest answer that is read. A list of 10,000 allocations with their task states is about 30 MB. */
const maxAnswerBytes = 256 * 1024 * 1024

export interface NomadRequest<T> {
  method?: 'GET' | 'PUT' | 'DELETE'
  /** From `/v1` on, each variable part encoded by the caller. */
  path: string
  query?: Record<string, string | number | boolean | undefined>
  body?: unknown
  /** Just the fields that are used; others are dropped. */
  schema: z.ZodType<T>
  /** What the request is for, to be read after "to": `register job slotpool-default`. Named in its error. */
  purpose: string
  signal?: AbortSignal | undefined
  /** Default 15,000 ms without a byte. */
  timeoutMs?: number
}

/** A request whose answer goes on for as long as both sides want. */
export interface NomadStreamRequest extends Pick<NomadRequest<never>, 'path' | 'purpose'> {
  /** A name with several values is sent once for each. */
  query?: Record<string, string | number | readonly string[]>
  /** Ends the answer, too. */
  signal: AbortSignal
  /** No byte for so long, before the answer or in it, ends it with an error. */
  silentAfterMs: number
}

export interface NomadClientOptions {
  /**
   * How long, in milliseconds, a request is made again that Nomad refuses for too many connections of this address (429), which it does before it
   * has read anything of it. Default 10,000.
   */
  crowdedPatienceMs?: number
}

/** An answer with `X-Nomad-Index`, the point in Nomad's history that it shows; 0 where Nomad sent none. */
export interface Indexed<T> {
  value: T
  index: number
}

type AnyRequest = Omit<NomadRequest<unknown>, 'schema' | 'query'> & { query?: unknown }

interface Answer {
  status: number
  body: string
  index: number
  location: string | undefined
}

/**
 * One connection to Nomad's HTTP API. Proxies named in the environment are not used and redirects are not followed: the token goes to
 * the configured address and nowhere else.
 */
export class NomadClient {
  /** Where it asks, such as `http://localhost:4646`. */
  readonly address: string
  readonly #axios: AxiosInstance
  readonly #agent: ReturnType<typeof connectionAgent>
  readonly #token: string | undefined
  readonly #crowdedPatienceMs: number
  readonly #scope: Pick<NomadConnection, 'namespace' | 'region'>

  /** @throws {SlotpoolError} `CONFIG_INVALID` when a certificate or key cannot be read. */
  constructor(connection: NomadConnection, { crowdedPatienceMs = defaultCrowdedPatienceMs }: NomadClientOptions = {}) {
    this.#crowdedPatienceMs = crowdedPatienceMs
    this.address = connection.address
    this.#token = connection.token
    this.#scope = {
      ...(connection.namespace && { namespace: connection.namespace }),
      ...(connection.region && { region: connection.region }),
    }
    this.#agent = connectionAgent(connection)
    this.#axios = axios.create({
      adapter: 'http',
      baseURL: connection.address,
      headers: connection.token === undefined ? {} : { 'X-Nomad-Token': connection.token },
      httpAgent: this.#agent,
      httpsAgent: this.#agent,
      proxy: false,
      maxRedirects: 0,
      maxContentLength: maxAnswerBytes,
      maxBodyLength: maxAnswerBytes,
      responseType: 'text',
      transformResponse: (body: unknown) => body,
      validateStatus: () => true,
      // A slow start of an agent must not look like an answer: the error says which it was.
      transitional: { clarifyTimeoutError: true },
    })
  }

  /**
   * @throws {SlotpoolError} `NOMAD_UNAVAILABLE` without an answer, `NOMAD_FORBIDDEN` for 403, `NOMAD_CONFLICT` when somebody else was first,
   *   `CANCELLED` on abort, else `NOMAD_REQUEST_FAILED` with Nomad's own words.
   */
  async request<T>(request: NomadRequest<T>): Promise<Indexed<T>> {
    const answer = await this.#send(request)
    this.#mustSucceed(request, answer)
    return { value: this.#read(request, answer.body), index: answer.index }
  }

  /** As {@link request}, with null for 404. */
  async find<T>(request: NomadRequest<T>): Promise<Indexed<T | null>> {
    const answer = await this.#send(request)
    if (answer.status === 404) return { value: null, index: answer.index }
    this.#mustSucceed(request, answer)
    return { value: this.#read(request, answer.body), index: answer.index }
  }

  /** As {@link request}, for the few answers that are not JSON. */
  async text(request: Omit<NomadRequest<string>, 'schema'>): Promise<string> {
    const answer = await this.#send(request)
    this.#mustSucceed(request, answer)
    return answer.body
  }

  /**
   * Opens an answer that goes on. It takes one connection for as long as it does, and keeps no process alive. axios is not asked: it reads
   * answers as a whole, and lets nobody at the socket before there is one.
   *
   * @throws {SlotpoolError} as {@link request}, but for the answer itself, which fails with an error of Node's.
   */
  async stream(request: NomadStreamRequest): Promise<IncomingMessage> {
    if (request.signal.aborted) throw cancelled(request, request.signal)
    let answer: IncomingMessage
    try {
      answer = await this.#open(request)
    } catch (error) {
      if (request.signal.aborted) throw cancelled(request, request.signal)
      throw noAnswer(this.#label(request), error)
    }
    const { statusCode: status = 0, headers } = answer
    const isSuccess = status >= 200 && status <= 299
    if (isSuccess) return answer
    const body = await text(answer).catch(() => '')
    throw badStatus(this.#label(request), status, this.#hideToken(body), headers.location)
  }

  #open({ path, query, signal, silentAfterMs }: NomadStreamRequest): Promise<IncomingMessage> {
    const url = new URL(`${this.address.replace(/\/+$/, '')}${path}`)
    for (const [name, value] of Object.entries({ ...this.#scope, ...query })) {
      for (const one of [value].flat()) url.searchParams.append(name, String(one))
    }
    return new Promise((resolve, reject) => {
      const send = url.protocol === 'https:' ? httpsRequest : httpRequest
      const headers = this.#token === undefined ? {} : { 'X-Nomad-Token': this.#token }
      const sent = send(url, { agent: this.#agent, headers, signal })
      // Of a request that ended, an answer that was begun says so.
      sent.on('error', reject)
      sent.once('response', resolve)
      sent.once('socket', (socket) => socket.unref())
      sent.setTimeout(silentAfterMs, () => sent.destroy(new Error(`no byte for ${silentAfterMs} ms`)))
      sent.end()
    })
  }

  /** Closes all connections. A request that is under way fails. */
  close(): void {
    this.#agent.destroy()
  }

  #label(request: AnyRequest): RequestLabel {
    return { address: this.address, method: request.method ?? 'GET', path: request.path, purpose: request.purpose }
  }

  async #send(request: Omit<NomadRequest<unknown>, 'schema'>): Promise<Answer> {
    const giveUpAt = performance.now() + this.#crowdedPatienceMs
    for (let refused = 0; ; refused++) {
      const answer = await this.#sendOnce(request)
      if (answer.status !== 429) return answer
      const pauseMs = pauseAfterLoss(refused, crowdedPauseMs)
      if (performance.now() + pauseMs > giveUpAt) return answer
      await delay(pauseMs, undefined, request.signal && { signal: request.signal }).catch(() => undefined)
    }
  }

  async #sendOnce(request: Omit<NomadRequest<unknown>, 'schema'>): Promise<Answer> {
    if (request.signal?.aborted) throw cancelled(request, request.signal)
    // axios listens to it for each request that goes on, and of more than ten Node says on stderr that it may be a leak.
    if (request.signal) setMaxListeners(0, request.signal)
    try {
      const response = await this.#axios.request<string>({
        method: request.method ?? 'GET',
        url: request.path,
        timeout: request.timeoutMs ?? defaultTimeoutMs,
        params: { ...this.#scope, ...request.query },
        ...(request.body === undefined ? {} : { data: request.body }),
        ...(request.signal === undefined ? {} : { signal: request.signal }),
      })
      return {
        status: response.status,
        body: typeof response.data === 'string' ? response.data : '',
        index: Number(response.headers['x-nomad-index'] ?? 0) || 0,
        location: typeof response.headers.location === 'string' ? response.headers.location : undefined,
      }
    } catch (error) {
      if (isCancel(error) || request.signal?.aborted) throw cancelled(request, request.signal)
      throw noAnswer(this.#label(request), error)
    }
  }

  #mustSucceed(request: AnyRequest, { status, body, location }: Answer): void {
    if (status >= 200 && status <= 299) return
    throw badStatus(this.#label(request), status, this.#hideToken(body), location)
  }

  #read<T>(request: NomadRequest<T>, body: string): T {
    const result = request.schema.safeParse(parseJson(body, () => this.#label(request)))
    if (result.success) return result.data
    const issue = result.error.issues[0]
    throw badAnswer(this.#label(request), `${issue?.path.join('.') || 'the whole'}: ${issue?.message ?? 'invalid'}`)
  }

  #hideToken(text: string): string {
    return this.#token ? text.replaceAll(this.#token, '(hidden)') : text
  }
}

function parseJson(body: string, label: () => RequestLabel): unknown {
  if (body === '') return null
  try {
    return JSON.parse(body)
  } catch (cause) {
    throw badAnswer(label(), 'not JSON', cause)
  }
}

function cancelled(request: AnyRequest, signal: AbortSignal | undefined): SlotpoolError {
  return new SlotpoolError('CANCELLED', `aborted while asking Nomad to ${request.purpose}`, { cause: signal?.reason })
}

import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { Readable } from 'node:stream'
import axios, { type AxiosResponse, isCancel } from 'axios'
import { SlotpoolError } from '../../errors.ts'
import { isLoopback } from './loopback.ts'
import { flatHeaders, type RegistryAnswer, readAll, wordsOf } from './registry-answer.ts'
import { type Challenge, readChallenge } from './registry-challenge.ts'
import { type KnownCredentials, knownCredentials } from './registry-credentials.ts'
import { basic, readToken, tokenRequest } from './registry-token.ts'
import { type Silence, usualSilence } from './silence.ts'

/** Of an answer that says what went wrong, or who asks. */
const maxWordsBytes = 64 * 1024

const dockerApiHost = 'registry-1.docker.io'

/** What something is asked for, and how long. */
export interface RequestAim {
  /** To be read after "to". Named in its error. */
  purpose: string
  signal?: AbortSignal | undefined
}

export interface RegistryRequest extends RequestAim {
  method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** From `/v2/` on, or a whole address that the registry gave. */
  to: string
  headers?: Record<string, string>
  /** Made anew for each time that the request is sent. */
  body?: () => Buffer | Readable
}

export interface ConnectionOptions {
  /** What is to be done there. */
  actions: 'pull' | 'pull,push'
  plainHttp?: boolean | undefined
  /** Where Docker's configuration is found. Default: the environment. */
  env?: NodeJS.ProcessEnv
  /** Default: {@link usualSilence}. */
  silence?: Silence
}

/**
 * The HTTP of one repository of a remote registry: TLS unless it is on this machine, who asks as `docker login` noted it down. What was told to one
 * host is never told to another, and no error carries it.
 */
export class RegistryConnection {
  readonly host: string
  readonly repository: string
  readonly silence: Silence
  readonly #origin: string
  readonly #options: ConnectionOptions
  readonly #agents = { httpAgent: new HttpAgent({ keepAlive: true }), httpsAgent: new HttpsAgent({ keepAlive: true }) }
  #authorization: string | undefined

  /** Connects to nothing yet. */
  constructor({ host, repository }: { host: string; repository: string }, options: ConnectionOptions) {
    this.host = host
    this.repository = repository
    this.silence = options.silence ?? usualSilence
    this.#options = options
    const address = host === 'docker.io' ? dockerApiHost : host
    const scheme = options.plainHttp || isLoopback(new URL(`http://${address}`).hostname) ? 'http' : 'https'
    // In the one form that addresses of requests have: whose answer it is, is told by comparing them.
    this.#origin = new URL(`${scheme}://${address}`).origin
  }

  /**
   * Resolves with whatever answer there is, but for one that wants to know who asks.
   *
   * @throws {SlotpoolError} `REGISTRY_UNAUTHORIZED`, `REGISTRY_REQUEST_FAILED` without an answer, `CANCELLED`.
   */
  async send(request: RegistryRequest): Promise<RegistryAnswer> {
    const answer = await this.#send(request)
    // Another host to which this one sends on is told nothing.
    if (answer.status !== 401 || new URL(answer.url).origin !== this.#origin) return answer
    const challenge = readChallenge(answer.headers['www-authenticate'] ?? '', this.host)
    answer.body.resume()
    const known = await knownCredentials(this.host, this.#options.env)
    this.#authorization = await this.#authorize(challenge, known, request)
    const second = await this.#send(request)
    if (second.status !== 401 && second.status !== 403) return second
    second.body.resume()
    throw this.#unauthorized(known, request.purpose)
  }

  /** As {@link send}, and any other status than these is an error. @throws {SlotpoolError} `REGISTRY_REQUEST_FAILED` with the registry's words. */
  async expect(statuses: readonly number[], request: RegistryRequest): Promise<RegistryAnswer> {
    const answer = await this.send(request)
    if (statuses.includes(answer.status)) return answer
    throw await this.failure(answer, request)
  }

  /** All of a short body. @throws {SlotpoolError} `REGISTRY_REQUEST_FAILED` for a longer one, or one that is cut; `CANCELLED`. */
  async read(answer: RegistryAnswer, maxBytes: number, { purpose, signal }: RequestAim): Promise<Buffer> {
    try {
      return await readAll(answer.body, maxBytes, this.silence.bodyMs)
    } catch (error) {
      throw this.#notAll(error, purpose, signal, 'its answer was cut')
    }
  }

  /** The error for an answer that is no success. */
  async failure(answer: RegistryAnswer, { purpose, signal }: RequestAim): Promise<SlotpoolError> {
    const said = wordsOf(await readAll(answer.body, maxWordsBytes, this.silence.bodyMs).catch(() => Buffer.alloc(0)))
    if (signal?.aborted) return this.#notAll(undefined, purpose, signal, '')
    if (answer.status === 403) return this.#unauthorized(await knownCredentials(this.host, this.#options.env), purpose, said)
    return new SlotpoolError(
      'REGISTRY_REQUEST_FAILED',
      `registry ${this.host} could not ${purpose}: ${said || 'it said nothing'} (status ${answer.status})`,
      {
        retryable: answer.status === 429 || answer.status >= 500,
        details: { host: this.host, repository: this.repository, status: answer.status },
      },
    )
  }

  /** Lets go of kept connections. */
  close(): void {
    this.#agents.httpAgent.destroy()
    this.#agents.httpsAgent.destroy()
  }

  async #send({ method = 'GET', to, headers = {}, body, signal, purpose }: RegistryRequest): Promise<RegistryAnswer> {
    const url = new URL(to, this.#origin)
    this.#refusePlain(url, purpose)
    const own = url.origin === this.#origin && this.#authorization !== undefined ? { Authorization: this.#authorization } : {}
    return this.#exchange({ method, url, headers: { ...headers, ...own }, data: body?.(), signal, purpose })
  }

  async #exchange(request: {
    method: string
    url: URL
    headers: Record<string, string>
    data: Buffer | Readable | undefined
    signal: AbortSignal | undefined
    purpose: string
  }): Promise<RegistryAnswer> {
    const { method, url, headers, data, signal, purpose } = request
    let response: AxiosResponse<Readable>
    try {
      response = await axios.request<Readable>({
        ...this.#agents,
        adapter: 'http',
        method,
        url: url.href,
        headers: { 'User-Agent': 'slotpool', ...headers },
        data,
        responseType: 'stream',
        decompress: false,
        maxBodyLength: Number.POSITIVE_INFINITY,
        // Any limit, an endless one too, has the library put a stream of its own before that of the socket, which does not end when it is destroyed.
        maxContentLength: -1,
        // What goes to another host on its way is without what this one was told (follow-redirects). A body is sent once.
        maxRedirects: data === undefined ? 5 : 0,
        beforeRedirect: ({ href }: { href?: string }) => this.#refusePlain(new URL(href ?? 'none:'), purpose),
        ...(isLoopback(url.host) ? { proxy: false as const } : {}),
        // It is counted from the beginning of the request to that of the answer: who sends a stream, or reads one, sees to it that that goes on.
        timeout: data instanceof Readable ? 0 : this.silence.answerMs,
        validateStatus: () => true,
        transformRequest: (body: unknown) => body,
        ...(signal ? { signal } : {}),
      })
    } catch (error) {
      throw this.#notAll(error, purpose, signal, 'it gives no answer')
    }
    const finalUrl = (response.request as { res?: { responseUrl?: string } } | undefined)?.res?.responseUrl ?? url.href
    return { status: response.status, headers: flatHeaders(response.headers), body: response.data, url: finalUrl }
  }

  /** The header that says who asks. */
  async #authorize(challenge: Challenge, known: KnownCredentials, { signal, purpose }: RegistryRequest): Promise<string> {
    const { credentials } = known
    if (challenge.scheme === 'basic') {
      if (!credentials || !('username' in credentials)) throw this.#unauthorized(known, purpose)
      return basic(credentials)
    }
    const request = tokenRequest(challenge, `repository:${this.repository}:${this.#options.actions}`, credentials)
    this.#refusePlain(request.url, purpose)
    const answer = await this.#exchange({ ...request, signal, purpose })
    if (answer.status === 401 || answer.status === 403) {
      answer.body.resume()
      throw this.#unauthorized(known, purpose)
    }
    if (answer.status !== 200) throw await this.failure(answer, { purpose: `give a token to ${purpose}`, signal })
    return `Bearer ${readToken(await this.read(answer, maxWordsBytes, { purpose, signal }), this.host)}`
  }

  #refusePlain(url: URL, purpose: string): void {
    if (url.protocol === 'https:' || this.#options.plainHttp || (url.protocol === 'http:' && isLoopback(url.host))) return
    throw new SlotpoolError(
      'REGISTRY_REQUEST_FAILED',
      `registry ${this.host} could not ${purpose}: got the address ${url.origin}, expected https: what is not on this machine is asked without TLS only if told so (--plain-http)`,
      { retryable: false, details: { host: this.host } },
    )
  }

  #unauthorized({ credentials, file, helper }: KnownCredentials, purpose: string, said = ''): SlotpoolError {
    const why =
      credentials !== undefined
        ? `it does not accept what ${file} has for it`
        : helper !== undefined
          ? `${file} leaves it to ${helper}, which is not asked, and has nothing for it in auths`
          : `${file} has nothing for it`
    const words = said === '' ? '' : `, and it says: ${said}`
    return new SlotpoolError(
      'REGISTRY_UNAUTHORIZED',
      `registry ${this.host} refused to ${purpose}: ${why}${words}; expected \`docker login ${this.host}\``,
      {
        details: { host: this.host, repository: this.repository, file },
      },
    )
  }

  /** Without the library's own error: that has the request in it, and with it who asked. */
  #notAll(error: unknown, purpose: string, signal: AbortSignal | undefined, why: string): SlotpoolError {
    if (signal?.aborted && signal.reason instanceof SlotpoolError) return signal.reason
    if (isCancel(error) || signal?.aborted) return new SlotpoolError('CANCELLED', `gave up before registry ${this.host} could ${purpose}`)
    const ours = withinCauses(error)
    if (ours) return ours
    const { message, code } = error as { message: string; code?: string }
    return new SlotpoolError('REGISTRY_REQUEST_FAILED', `registry ${this.host} could not ${purpose}: ${why} (${message || code})`, {
      details: { host: this.host, ...(code === undefined ? {} : { code }) },
    })
  }
}

/** What was thrown on the way to another address. */
function withinCauses(error: unknown): SlotpoolError | undefined {
  if (error instanceof SlotpoolError) return error
  return error instanceof Error ? withinCauses(error.cause) : undefined
}

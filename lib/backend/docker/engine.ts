import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import Docker from 'dockerode'
import { LinkedAbortController } from '../../client/linked-abort-controller.ts'
import { unlessAborted } from '../../client/unless-aborted.ts'
import { SlotpoolError } from '../../errors.ts'
import { type EngineAddress, engineAddress } from './engine-address.ts'
import { engineError } from './engine-error.ts'

/** An engine that runs tells its version in milliseconds; one that does not within this is as good as none. */
const answerTimeoutMs = 5_000

/** What an engine says of itself. */
export interface EngineVersion {
  /** Where it answered, as `DOCKER_HOST` would have it. */
  address: string
  /** The engine's version, such as `27.3.1`. */
  version: string
  apiVersion: string
}

/** A connection to one Docker engine: dockerode, and our errors for what it rejects with. */
export class DockerEngine {
  readonly address: EngineAddress
  readonly docker: Docker
  readonly #agent: HttpAgent | undefined

  /** Connects to nothing yet. @throws {SlotpoolError} `CONFIG_INVALID` when the address cannot be used. */
  constructor(env: NodeJS.ProcessEnv = process.env) {
    this.address = engineAddress(env)
    const { transport, tls, apiVersion } = this.address
    const version = apiVersion === undefined ? {} : { version: `v${apiVersion.replace(/^v/, '')}` }
    if (transport.kind === 'ssh') {
      this.docker = connect({
        protocol: 'ssh',
        host: transport.host,
        port: transport.port,
        ...(transport.username === undefined ? {} : { username: transport.username }),
        ...(env.SSH_AUTH_SOCK ? { sshOptions: { agent: env.SSH_AUTH_SOCK } } : {}),
        ...version,
      })
      return
    }
    const { verify, ...certificates } = tls ?? { verify: true }
    this.#agent = tls
      ? new HttpsAgent({ keepAlive: true, ...certificates, rejectUnauthorized: verify })
      : new HttpAgent({ keepAlive: true })
    const common = { protocol: tls ? ('https' as const) : ('http' as const), agent: this.#agent, ...version }
    this.docker =
      transport.kind === 'unix'
        ? connect({ socketPath: transport.socketPath, ...common })
        : connect({ host: transport.host, port: transport.port, ...common })
  }

  /** True where a port published on the engine's loopback is one on ours. */
  get isLocal(): boolean {
    const { transport } = this.address
    return transport.kind === 'unix' || (transport.kind === 'tcp' && /^(localhost|127\..*|::1)$/.test(transport.host))
  }

  /**
   * Waits for one request.
   *
   * @param doing completes "docker could not …".
   * @param signal gives up waiting; what the engine is about to do it may do all the same.
   * @throws {SlotpoolError} `DOCKER_UNAVAILABLE`, `DOCKER_REQUEST_FAILED` or `CANCELLED`.
   */
  async call<T>(doing: string, request: Promise<T>, signal?: AbortSignal): Promise<T> {
    try {
      return await (signal ? unlessToldToStop(doing, request, signal) : request)
    } catch (error) {
      throw engineError(error, doing, this.address)
    }
  }

  /** @throws {SlotpoolError} `DOCKER_UNAVAILABLE` when nothing answers, at the latest after `limitMs`; default: five seconds. */
  async version(signal?: AbortSignal, limitMs: number = answerTimeoutMs): Promise<EngineVersion> {
    // The types of dockerode leave out the options that it takes here.
    const ask = this.docker.version.bind(this.docker) as (options: { abortSignal: AbortSignal }) => Promise<Docker.DockerVersion>
    const { Version, ApiVersion } = await this.callWithin(limitMs, 'tell its version', (abortSignal) => ask({ abortSignal }), signal)
    return { address: this.address.address, version: Version, apiVersion: ApiVersion }
  }

  /**
   * As {@link call}, for what an engine answers at once and dockerode can be told to give up.
   *
   * @throws {SlotpoolError} `DOCKER_UNAVAILABLE` also when the engine says nothing for so long.
   */
  async callWithin<T>(
    limitMs: number,
    doing: string,
    ask: (abortSignal: AbortSignal) => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const bound = AbortSignal.timeout(limitMs)
    using over = new LinkedAbortController(bound, ...(signal ? [signal] : []))
    try {
      // Not all that dockerode asks can be told to give up.
      return await unlessToldToStop(doing, ask(over.signal), over.signal)
    } catch (error) {
      const silent = bound.aborted && signal?.aborted !== true
      const cause = silent ? new Error(`it took the connection but said nothing for ${limitMs} ms`, { cause: error }) : error
      throw engineError(cause, doing, this.address)
    }
  }

  /** Lets go of kept connections. */
  close(): void {
    this.#agent?.destroy()
  }
}

/** Most requests of dockerode take no signal. */
function unlessToldToStop<T>(doing: string, request: Promise<T>, signal: AbortSignal): Promise<T> {
  return unlessAborted(
    request,
    signal,
    () => new SlotpoolError('CANCELLED', `docker was told to stop before it could ${doing}`, { cause: signal.reason }),
  )
}

function connect(options: Docker.DockerOptions & { agent?: HttpAgent }): Docker {
  try {
    // docker-modem fills in what is missing from its own reading of DOCKER_HOST, so nothing is left to be filled in.
    return new Docker({
      host: undefined,
      socketPath: undefined,
      ca: undefined,
      cert: undefined,
      key: undefined,
      ...options,
    } as Docker.DockerOptions)
  } catch (cause) {
    throw new SlotpoolError('CONFIG_INVALID', `the Docker connection cannot be set up: ${(cause as Error).message}`, { cause })
  }
}

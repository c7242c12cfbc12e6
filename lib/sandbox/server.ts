import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import fastify, { type FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import { SlotpoolError } from '../errors.ts'
import { type LimitsInForce, noLimits } from '../wire/limits.ts'
import type { MountView } from '../wire/mount.ts'
import { bootHeader, maxJsonBytes, paths, protocolHeader, protocolVersion } from '../wire/protocol.ts'
import type { Provenance } from '../wire/provenance.ts'
import type { Health, ServerStatus } from '../wire/status.ts'
import { Authentication } from './authentication.ts'
import { type Clock, systemClock } from './clock.ts'
import { ExecutionChannels } from './execution-channels.ts'
import { Executions } from './executions.ts'
import type { ChosenIsolation } from './jail/choose.ts'
import { LeaseTable } from './lease-table.ts'
import type { ControlGroups } from './limits/control-groups.ts'
import { ownProvenance } from './provenance.ts'
import { parseJson } from './requests.ts'
import { addRoutes } from './routes.ts'
import type { SlotRuntime } from './slot-runtime.ts'
import { Slots } from './slots.ts'
import { serverVersion } from './version.ts'
import { WantedSize } from './wanted-size.ts'

/** How long the status waits for slots that are made ready for the first time: a pool just started is seen with its slots idle. */
const fillPatienceMs = 1_000

/** Connections without traffic for so long are tried. */
const keepAliveDelayMs = 60_000

export interface SandboxServerOptions {
  pool: string
  slots: number
  token: string
  /** An existing folder in which the slots' folders are made, one for each lease. */
  slotsFolder: string
  /** The isolation in force: `chooseIsolation` finds the strongest. */
  isolation: ChosenIsolation
  /** The limits that hold for each slot. Default: none. */
  limits?: LimitsInForce
  /** The server's control groups. Default: there are none, and executions are ended without them. */
  groups?: ControlGroups | null
  /** What every slot has of the host, as its tenant is told. Default: nothing. */
  mounts?: readonly MountView[]
  /** What the container runs, as every lease tells it. Default: that nobody said what its image is. */
  provenance?: Provenance
  /** How often each slot is leased at most. Default: as often as it is asked for. */
  maxReuses?: number
  /** What happens inside of the slots. */
  runtime: SlotRuntime
  /** Calls `onIdle` after so long without a lease and without a request. Default: never. */
  idleExitMs?: number
  /** Every request waits for it, as if the server were slow. Default: none does. */
  beforeRequest?: () => Promise<void>
  onIdle?: () => void
  log: Logger
  clock?: Clock
}

/** One process that owns the slots of one container, their leases and their commands, and serves them over HTTP. */
export class SandboxServer {
  /** New at every start: leases of another boot are lost, and this tells them apart. */
  readonly bootId = randomUUID()
  readonly #options: SandboxServerOptions
  readonly #authentication: Authentication
  readonly #limits: LimitsInForce
  readonly #provenance: Provenance
  readonly #slots: Slots
  readonly #leases: LeaseTable
  readonly #executions: Executions
  readonly #app: FastifyInstance
  readonly #channels: ExecutionChannels
  /** Resolves when every slot has been made ready once, or could not be. */
  readonly #filled: Promise<void>
  #idleTimer: NodeJS.Timeout | undefined

  /** Begins to make all slots ready: a lease waits for its own. Of a server that cannot be started no slot is left. */
  static async start(options: SandboxServerOptions): Promise<SandboxServer> {
    const server = new SandboxServer(options)
    try {
      await Promise.all([options.runtime.start(), server.#app.ready()])
      return server
    } catch (error) {
      await server.close().catch((also) => options.log.error({ err: also }, 'could not shut down cleanly'))
      throw error
    }
  }

  private constructor(options: SandboxServerOptions) {
    const { log, clock = systemClock, isolation, runtime } = options
    this.#options = options
    this.#authentication = new Authentication(options.token)
    this.#limits = options.limits ?? noLimits
    this.#provenance = options.provenance ?? ownProvenance
    this.#slots = new Slots({
      count: options.slots,
      kind: isolation.kind,
      folder: options.slotsFolder,
      limits: this.#limits,
      groups: options.groups ?? null,
      onMade: (slot) => runtime.makeReady(slot),
      first: isolation.first,
      maxReuses: options.maxReuses,
      log,
      clock,
    })
    this.#leases = new LeaseTable({
      bootId: this.bootId,
      slots: this.#slots,
      terms: { limits: this.#limits, mounts: options.mounts ?? [], provenance: this.#provenance },
      clock,
      log,
      onEnd: (held) => this.#executions.forget(held),
    })
    this.#executions = new Executions(this.#leases, runtime, clock)
    // While the first jail comes up, there is time for the rest.
    this.#filled = this.#slots.start()
    this.#channels = this.#makeChannels()
    this.#app = this.#makeApp()
    this.#app.server.on('upgrade', (request, connection, head) => void this.#channels.upgrade(request, connection, head))
  }

  /** Starts to serve; resolves with the address. Port 0 takes a free one. */
  async listen(at: { path: string } | { host: string; port: number }): Promise<string> {
    const address = await this.#app.listen(at)
    this.#watchIdleness()
    return address
  }

  /** Serves whoever has the other end of a connection that is no socket. */
  accept(connection: Duplex): void {
    this.#app.server.emit('connection', connection)
  }

  /** Keeps no process alive that has nothing else to do. */
  unref(): void {
    this.#app.server.unref()
  }

  /** How many slots are leased, or about to be. */
  get leased(): number {
    return this.#leases.size
  }

  status(): ServerStatus {
    const { isolation } = this.#options
    const leased = new Map(this.#leases.all().map((held) => [held.slot.number, held]))
    return {
      protocol: protocolVersion,
      version: serverVersion,
      provenance: this.#provenance,
      bootId: this.bootId,
      state: this.#leases.state,
      pool: this.#options.pool,
      isolation: isolation.kind.level,
      isolationReason: isolation.reason,
      root: isolation.kind.root,
      user: isolation.kind.user,
      network: isolation.kind.network,
      networkReason: isolation.networkReason,
      limits: this.#limits,
      slots: Array.from({ length: this.#options.slots }, (_, slot) => {
        const held = leased.get(slot)
        const running = held ? [...held.executions.values()].filter((one) => !one.outcome).length : 0
        const { state, reason, uses } = this.#slots.place(slot)
        return { slot, state, reason, uses, lease: held?.describe(this.bootId) ?? null, executions: running }
      }),
    }
  }

  /**
   * Gives no new lease any more. Resolves when no command runs and no file is moved, at the latest after `withinMs`: tenants in the middle of
   * their tasks go on until then, whatever they begin.
   */
  drain(withinMs: number): Promise<void> {
    return this.#leases.drainForGood(withinMs)
  }

  /** Ends every lease, wipes every slot and stops serving. */
  async close(): Promise<void> {
    clearTimeout(this.#idleTimer)
    await this.#leases.releaseAll('the sandbox server was shut down')
    await this.#channels.close()
    await this.#app.close()
    // Those that are no sockets are not among its own.
    this.#app.server.closeAllConnections()
    await this.#slots.close()
    await this.#options.runtime.close()
    await this.#options.isolation.kind.close?.()
    await this.#options.groups?.close()
  }

  /** As when its machine goes away: every connection breaks in the middle of whatever it carries. Then as {@link close}. */
  async crash(): Promise<void> {
    const { server } = this.#app
    server.close()
    server.closeAllConnections()
    this.#channels.destroy()
    await this.close()
  }

  #makeChannels(): ExecutionChannels {
    return new ExecutionChannels({
      leases: this.#leases,
      executions: this.#executions,
      headers: this.#headers,
      admit: async (request) => {
        if (this.#options.beforeRequest) await this.#options.beforeRequest()
        this.#admit(request)
      },
      failure: (error) => this.#failure(error),
      onRequest: () => {
        this.#watchIdleness()
        return this.#options.beforeRequest?.()
      },
    })
  }

  get #headers(): Record<string, string> {
    return { [protocolHeader]: String(protocolVersion), [bootHeader]: this.bootId }
  }

  /** @throws {SlotpoolError} `UNAUTHORIZED`, `PROTOCOL_MISMATCH`. */
  #admit({ headers }: Pick<IncomingMessage, 'headers'>, isUse = true): void {
    this.#authentication.check(headers.authorization)
    if (isUse) this.#watchIdleness()
    checkProtocol(headers[protocolHeader])
  }

  #failure(error: unknown): SlotpoolError {
    const ours = error instanceof SlotpoolError ? error : fromFastify(error as Error & { statusCode?: number })
    if (ours.code === 'INTERNAL') this.#options.log.error({ err: error }, 'a request failed')
    return ours
  }

  #makeApp(): FastifyInstance {
    const app = fastify({
      logger: false,
      bodyLimit: maxJsonBytes,
      forceCloseConnections: true,
      // Who asks while it ends is answered by its tables, or not at all: the framework's own refusal would be no error of a sandbox server.
      return503OnClosing: false,
      // Kept alive for as long as a client keeps its side: a command must not find its connection closed.
      keepAliveTimeout: 0,
      // A client whose machine is gone is noticed by nobody who only reads from it.
      http: { keepAlive: true, keepAliveInitialDelay: keepAliveDelayMs },
      routerOptions: { maxParamLength: 200 },
    })
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_request: unknown, body: Buffer) => parseJson(body))
    // The content of a file: read by its route, as it comes.
    app.addContentTypeParser('application/octet-stream', (_request, _payload, done) => done(null))

    app.addHook('onRequest', async (request, reply) => {
      if (this.#options.beforeRequest) await this.#options.beforeRequest()
      reply.headers(this.#headers)
      if (request.url === paths.health) return
      // A manager looks after its pool for as long as it has it open; that alone does not keep the pool.
      this.#admit(request, request.routeOptions.url !== paths.load)
    })
    app.setErrorHandler((error, _request, reply) => {
      const ours = this.#failure(error)
      // A stream that failed before its first byte has said what it would have been.
      return reply.status(ours.status).type('application/json; charset=utf-8').send({ error: ours })
    })
    app.setNotFoundHandler((request) => {
      throw new SlotpoolError(
        'ROUTE_NOT_FOUND',
        `got ${request.method} ${request.url.split('?')[0]}, which is no route of a sandbox server`,
      )
    })
    app.get(paths.health, async (): Promise<Health> => ({ ok: true, protocol: protocolVersion, bootId: this.bootId }))
    addRoutes(app, {
      bootId: this.bootId,
      leases: this.#leases,
      executions: this.#executions,
      runtime: this.#options.runtime,
      wantedSize: new WantedSize(this.#options.clock ?? systemClock),
      status: async () => {
        await Promise.race([this.#filled, delay(fillPatienceMs, undefined, { ref: false })])
        return this.status()
      },
    })
    return app
  }

  #watchIdleness(): void {
    const { idleExitMs, onIdle } = this.#options
    if (idleExitMs === undefined || !onIdle) return
    clearTimeout(this.#idleTimer)
    this.#idleTimer = setTimeout(() => (this.#leases.size === 0 ? onIdle() : this.#watchIdleness()), idleExitMs)
  }
}

/** @throws {SlotpoolError} `PROTOCOL_MISMATCH` that says which side to update. */
function checkProtocol(theirs: string | string[] | undefined): void {
  if (theirs === String(protocolVersion)) return
  const older = Number(theirs ?? 0) < protocolVersion ? 'the client' : 'this container (`slotpool down`, then `slotpool image build`)'
  throw new SlotpoolError('PROTOCOL_MISMATCH', `got protocol ${theirs ?? 'none'}, expected ${protocolVersion}; update ${older}`, {
    details: { client: theirs ?? null, server: protocolVersion },
  })
}

function fromFastify(error: Error & { statusCode?: number }): SlotpoolError {
  const status = error.statusCode ?? 500
  if (status >= 400 && status < 500) return new SlotpoolError('REQUEST_INVALID', error.message, { cause: error })
  return SlotpoolError.from(error)
}

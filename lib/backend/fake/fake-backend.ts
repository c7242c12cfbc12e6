import { randomBytes, randomUUID } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { pino } from 'pino'
import type { Config } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'
import { mountInvalid } from '../../mount.ts'
import { type Clock, systemClock } from '../../sandbox/clock.ts'
import { SandboxServer } from '../../sandbox/server.ts'
import type { Endpoint } from '../../wire/endpoint.ts'
import type { Backend, Container, PoolShape, RollOptions } from '../backend.ts'
import { freeIndexes } from '../free-indexes.ts'
import { isEarlier, type PoolVersion, versionId } from '../pool-version.ts'
import { type Hold, hold } from './hold.ts'
import { memoryConnection, type OnTraffic } from './memory-connection.ts'
import type { Script } from './scripted-execution.ts'
import { ScriptedJails, ScriptedRuntime } from './scripted-runtime.ts'

/** How a {@link FakeBackend} behaves. */
export interface FakeOptions {
  /** Answers every command. Default: no output, exit code 0. */
  script?: Script
  /** Slots of each container. Default: 10. */
  slots?: number
  /** What time it is for containers, servers and commands. Default: the machine's own. */
  clock?: Clock
  /** How long a container takes to start. Default: 0, it is ready at once. */
  startMs?: number
  /**
   * What the servers are reached over. `memory` takes no ports, file descriptors or system calls, and is good for a thousand containers in one
   * process; all that is said is the same. Default: `loopback`.
   */
  connections?: 'loopback' | 'memory'
}

interface FakeContainer {
  id: string
  index: number
  version: PoolVersion
  slots: number
  server: SandboxServer
  endpoint: Endpoint
  alive: boolean
  /** Over when it has started, or is not to any more; undefined from then on. */
  starting: Hold | undefined
  /** Over when it answers again; undefined while it does. */
  paused: Hold | undefined
  jails: ScriptedJails
}

type Served = Pick<FakeContainer, 'starting' | 'paused' | 'jails' | 'slots'>

type FakePlan = Pick<FakeContainer, 'slots' | 'version'>

/** What there is at one moment. */
export interface FakeUsage {
  /** Those that live, and how many of them have not yet started. */
  containers: number
  starting: number
  /** Of those that have started. */
  slots: number
  leased: number
  /** Those that are free and cannot be had: of containers that are paused. */
  outOfReach: number
}

/**
 * Containers in this very process, for tests of what uses slotpool: real leases, real time limits, the real protocol over loopback or in memory, but a
 * script instead of a shell. It passes the same suite as the other backends.
 *
 *     const backend = new FakeBackend({ script: ({ command }) => ({ stdout: `ran ${command}\n` }) })
 *     await using pool = await SlotPool.open({ backend })
 */
export class FakeBackend implements Backend {
  readonly name = 'fake'
  readonly #script: Script
  readonly #slots: number
  readonly #clock: Clock
  readonly #startMs: number
  readonly #connections: 'loopback' | 'memory'
  #token = newToken()
  #containers: FakeContainer[] = []
  #failure: SlotpoolError | undefined
  /** One change of the containers at a time. */
  #changing: Promise<unknown> = Promise.resolve()
  /** Those that watch. */
  readonly #watching = new Set<() => void>()
  readonly #onTraffic = (): void => {
    this.traffic.pieces++
  }
  /** What servers were asked so far, and, in memory, the pieces that went either way. */
  readonly traffic = { requests: 0, pieces: 0 }

  constructor(options: FakeOptions = {}) {
    this.#script = options.script ?? (() => ({}))
    this.#slots = options.slots ?? 10
    this.#clock = options.clock ?? systemClock
    this.#startMs = options.startMs ?? 0
    this.#connections = options.connections ?? 'loopback'
  }

  async token(): Promise<string> {
    return this.#token
  }

  async list(): Promise<Container[]> {
    return this.#containers.map(({ id, index, version, endpoint, alive, starting, paused }) => {
      const base = { id, index, version, node: 'fake' }
      if (alive && starting) return { ...base, state: 'starting' }
      if (alive && paused) return { ...base, state: 'starting', reason: 'it was paused by the test' }
      return alive ? { ...base, state: 'ready', endpoint } : { ...base, state: 'dead', reason: 'it was killed by the test' }
    })
  }

  async check({ mounts: [mount] }: Config): Promise<void> {
    if (mount) throw mountInvalid(mount, 'a scripted slot has no files but its own; expected no mounts')
  }

  async shape(): Promise<PoolShape | null> {
    const newest = this.#newest
    return newest ? fakeShape(newest.slots) : null
  }

  /** Of a shape only the slots make a difference. */
  async roll({ slots }: PoolShape, { force = false, signal }: RollOptions = {}): Promise<boolean> {
    const made = await this.#change(async () => {
      const version = this.#newest?.version
      if (!version || (versionOf(slots, 0).id === version.id && !force)) return []
      const alive = this.#containers.filter((one) => one.alive).length
      return this.#make(alive + 1, signal, { slots, version: versionOf(slots, version.generation + 1) })
    })
    if (made.length > 0) await this.#untilStarted(made, this.#containers.length, signal)
    return made.length > 0
  }

  async grow(count: number, signal?: AbortSignal): Promise<Container[]> {
    const { made, all } = await this.#change(async () => ({ made: await this.#make(count, signal), all: await this.list() }))
    return (await this.#untilStarted(made, count, signal)) ? this.list() : all
  }

  async #untilStarted(made: readonly FakeContainer[], count: number, signal: AbortSignal | undefined): Promise<boolean> {
    try {
      return await this.#haveStarted(count, signal)
    } catch (error) {
      for (const one of made) if (one.starting) await this.#remove(one)
      throw error
    }
  }

  get #newest(): FakeContainer | undefined {
    let newest: FakeContainer | undefined
    const alive = this.#containers.filter((one) => one.alive)
    const started = alive.filter((one) => !one.starting)
    for (const one of started.length > 0 ? started : alive) if (!newest || isEarlier(newest.version, one.version)) newest = one
    return newest
  }

  get #started() {
    return this.#containers.filter((one) => one.alive && !one.starting)
  }

  /** Those that have started and live. */
  ids(): string[] {
    return this.#started.map((one) => one.id)
  }

  /** What there is now, without asking any server. */
  usage(): FakeUsage {
    const alive = this.#containers.filter((one) => one.alive).length
    const started = this.#started
    return {
      containers: alive,
      starting: alive - started.length,
      slots: started.reduce((sum, { slots }) => sum + slots, 0),
      leased: started.reduce((sum, { server }) => sum + server.leased, 0),
      outOfReach: started.reduce((sum, { paused, slots, server }) => sum + (paused ? slots - server.leased : 0), 0),
    }
  }

  remove({ id }: Container): Promise<void> {
    return this.#change(async () => {
      const container = this.#containers.find((one) => one.id === id)
      if (container) await this.#remove(container)
    })
  }

  async watch(onChange: () => void, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    const told = (): void => onChange()
    this.#watching.add(told)
    told()
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    this.#watching.delete(told)
  }

  destroy(): Promise<void> {
    return this.#change(async () => {
      await Promise.all(this.#containers.map((one) => this.#remove(one)))
      this.#token = newToken()
    })
  }

  /** Several pools may share this one object, so what the others watch stays. */
  async close(): Promise<void> {}

  /** Lets a container die as on an outage: its leases are lost, its connections break. */
  kill(id: string): Promise<void> {
    return this.#change(async () => {
      const container = this.#containers.find((one) => one.id === id)
      if (!container?.alive) return
      container.alive = false
      container.starting?.end()
      await container.server.crash()
    })
  }

  /** Lets a container live on without an answer for anybody, until {@link resume}: what is sent to it waits. It is no longer `ready`. */
  pause(id: string): void {
    const container = this.#containers.find((one) => one.id === id)
    if (!container || container.paused) return
    container.paused = hold()
    this.#tell()
  }

  /** Lets a paused container answer what was sent to it, and all that comes. */
  resume(id: string): void {
    const container = this.#containers.find((one) => one.id === id)
    container?.paused?.end()
    if (container) container.paused = undefined
    this.#tell()
  }

  /** Lets the server of a container start anew, at the same address: its leases are lost, its connections break. */
  restart(id: string): Promise<void> {
    return this.#change(async () => {
      const container = this.#containers.find((one) => one.id === id)
      if (!container?.alive) return
      await container.server.crash()
      Object.assign(container, await this.#serve(container, container.endpoint))
    })
  }

  /** Lets the next slots of a container that come back fail to be wiped: they are out of service from then on. */
  wearOut(id: string): void {
    const container = this.#containers.find((one) => one.id === id)
    if (container) container.jails.wipesFail = true
  }

  /** Makes the next `grow` fail with this error. */
  failNextGrow(error: SlotpoolError): void {
    this.#failure = error
  }

  async #make(count: number, signal: AbortSignal | undefined, as?: FakePlan): Promise<FakeContainer[]> {
    if (signal?.aborted) throw givenUp(signal)
    const failure = this.#failure
    this.#failure = undefined
    if (failure) throw failure
    this.#containers = this.#containers.filter((one) => one.alive)
    const plan = as ?? this.#newest ?? { slots: this.#slots, version: versionOf(this.#slots, 0) }
    const taken = new Set(this.#containers.map((one) => one.index))
    const made: FakeContainer[] = []
    for (const index of freeIndexes(taken, count - taken.size)) {
      const container = await this.#start(index, plan)
      made.push(container)
      this.#containers.push(container)
    }
    this.#containers.sort((a, b) => a.index - b.index)
    return made
  }

  async #start(index: number, { slots, version }: FakePlan): Promise<FakeContainer> {
    const container: Served = { starting: undefined, paused: undefined, slots, jails: new ScriptedJails() }
    const started = Object.assign(container, { id: randomUUID(), index, version, ...(await this.#serve(container)), alive: true })
    if (this.#startMs > 0) {
      const starting = hold()
      const stop = this.#clock.after(this.#startMs, starting.end)
      container.starting = starting
      void starting.over.then(() => {
        stop()
        container.starting = undefined
        this.#tell()
      })
    }
    return started
  }

  /** Resolves when so many have started, or no more are about to, with whether that had to be waited for. */
  async #haveStarted(count: number, signal: AbortSignal | undefined): Promise<boolean> {
    const aborted = signal && new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    for (let waited = false; ; waited = true) {
      const alive = this.#containers.filter((one) => one.alive)
      const starting = alive.flatMap((one) => (one.starting ? [one.starting.over] : []))
      if (starting.length === 0 || alive.length - starting.length >= count) return waited
      await Promise.race([...starting, ...(aborted ? [aborted] : [])])
      if (signal?.aborted) throw givenUp(signal)
    }
  }

  async #remove(container: FakeContainer): Promise<void> {
    this.#containers = this.#containers.filter((one) => one !== container)
    container.starting?.end()
    // Whoever waits for its answer learns that there will be none.
    container.paused?.end()
    if (container.alive) await container.server.close()
  }

  /** Serves at that endpoint, by default at a new one. */
  async #serve(container: Served, at?: Endpoint): Promise<Pick<FakeContainer, 'server' | 'endpoint'>> {
    const server = await SandboxServer.start({
      pool: 'fake',
      slots: container.slots,
      token: this.#token,
      slotsFolder: '/',
      isolation: { kind: container.jails, reason: 'commands are answered by a script', networkReason: null },
      runtime: new ScriptedRuntime(this.#script, this.#clock),
      beforeRequest: async () => {
        this.traffic.requests++
        await container.paused?.over
      },
      log: pino({ enabled: false }),
      clock: this.#clock,
    })
    if (this.#connections === 'memory') {
      return { server, endpoint: { url: 'http://memory', connect: connectionsTo(server, this.#onTraffic) } }
    }
    const url = await server.listen({ host: '127.0.0.1', port: at ? Number(new URL(at.url).port) : 0 })
    // A test that forgets to take its pool down ends all the same.
    server.unref()
    return { server, endpoint: { url } }
  }

  #change<T>(work: () => Promise<T>): Promise<T> {
    const changed = this.#changing.then(work).finally(() => this.#tell())
    this.#changing = changed.catch(() => {})
    return changed
  }

  #tell(): void {
    for (const told of this.#watching) told()
  }
}

/**
 * Who has the address of a container that is gone keeps nothing of it, as it is with one that is real. What is made within a method keeps all that anything
 * made there keeps, the container too: hence a function.
 */
function connectionsTo(server: SandboxServer, onTraffic: OnTraffic): () => Duplex {
  const serving = new WeakRef(server)
  return () => {
    const [ours, theirs] = memoryConnection(onTraffic)
    const there = serving.deref()
    if (there) there.accept(theirs)
    else theirs.destroy()
    return ours
  }
}

function fakeShape(slots: number): PoolShape {
  return { image: null, slots, isolation: 'none', network: 'none', limits: {}, networkAllow: [], mounts: [] }
}

function versionOf(slots: number, generation: number): PoolVersion {
  return { id: versionId(fakeShape(slots), ''), generation, image: null }
}

function givenUp(signal: AbortSignal): SlotpoolError {
  return new SlotpoolError('CANCELLED', 'growing was given up', { cause: signal.reason })
}

function newToken(): string {
  return randomBytes(32).toString('base64url')
}

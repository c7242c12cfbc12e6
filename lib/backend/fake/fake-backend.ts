import { randomBytes, randomUUID } from 'node:crypto'
import { pino } from 'pino'
import type { Config } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'
import { mountInvalid } from '../../mount.ts'
import { SandboxServer } from '../../sandbox/server.ts'
import type { Backend, Container, PoolShape } from '../backend.ts'
import type { Script } from './scripted-execution.ts'
import { ScriptedJails, ScriptedRuntime } from './scripted-runtime.ts'

/** How a {@link FakeBackend} behaves. */
export interface FakeOptions {
  /** Answers every command. Default: no output, exit code 0. */
  script?: Script
  /** Slots of each container. Default: 10. */
  slots?: number
}

interface FakeContainer {
  id: string
  index: number
  server: SandboxServer
  url: string
  alive: boolean
  /** Settles when it answers again; undefined while it does. */
  paused: Pause | undefined
}

interface Pause {
  over: Promise<void>
  end: () => void
}

/**
 * Containers in this very process, for tests of what uses slotpool: real leases, real time limits, the real protocol over loopback, but a
 * script instead of a shell. It passes the same suite as the other backends.
 *
 *     const backend = new FakeBackend({ script: ({ command }) => ({ stdout: `ran ${command}\n` }) })
 *     await using pool = await SlotPool.open({ backend })
 */
export class FakeBackend implements Backend {
  readonly name = 'fake'
  readonly #script: Script
  readonly #slots: number
  #token = newToken()
  #containers: FakeContainer[] = []
  #failure: SlotpoolError | undefined
  /** One change of the containers at a time. */
  #changing: Promise<unknown> = Promise.resolve()

  constructor(options: FakeOptions = {}) {
    this.#script = options.script ?? (() => ({}))
    this.#slots = options.slots ?? 10
  }

  async token(): Promise<string> {
    return this.#token
  }

  async list(): Promise<Container[]> {
    return this.#containers.map(({ id, index, url, alive, paused }) => {
      const base = { id, index, node: 'fake' }
      if (alive && paused) return { ...base, state: 'starting', reason: 'it was paused by the test' }
      return alive ? { ...base, state: 'ready', endpoint: { url } } : { ...base, state: 'dead', reason: 'it was killed by the test' }
    })
  }

  async check({ mounts: [mount] }: Config): Promise<void> {
    if (mount) throw mountInvalid(mount, 'a scripted slot has no files but its own; expected no mounts')
  }

  async shape(): Promise<PoolShape | null> {
    if (!this.#containers.some((one) => one.alive)) return null
    return { image: null, slots: this.#slots, isolation: 'none', network: 'none', limits: {}, networkAllow: [], mounts: [] }
  }

  grow(count: number, signal?: AbortSignal): Promise<Container[]> {
    return this.#change(async () => {
      if (signal?.aborted) throw new SlotpoolError('CANCELLED', 'growing was given up', { cause: signal.reason })
      const failure = this.#failure
      this.#failure = undefined
      if (failure) throw failure
      this.#containers = this.#containers.filter((one) => one.alive)
      for (let index = 0; this.#containers.length < count; index++) {
        if (!this.#containers.some((one) => one.index === index)) this.#containers.push(await this.#start(index))
      }
      this.#containers.sort((a, b) => a.index - b.index)
      return this.list()
    })
  }

  destroy(): Promise<void> {
    return this.#change(async () => {
      await Promise.all(this.#containers.filter((one) => one.alive).map((one) => one.server.close()))
      this.#containers = []
      this.#token = newToken()
    })
  }

  async close(): Promise<void> {}

  /** Lets a container die as on an outage: its leases are lost, its connections break. */
  kill(id: string): Promise<void> {
    return this.#change(async () => {
      const container = this.#containers.find((one) => one.id === id)
      if (!container?.alive) return
      container.alive = false
      await container.server.crash()
    })
  }

  /** Lets a container live on without an answer for anybody, until {@link resume}: what is sent to it waits. It is no longer `ready`. */
  pause(id: string): void {
    const container = this.#containers.find((one) => one.id === id)
    if (!container || container.paused) return
    let end = (): void => {}
    const over = new Promise<void>((resolve) => {
      end = resolve
    })
    container.paused = { over, end }
  }

  /** Lets a paused container answer what was sent to it, and all that comes. */
  resume(id: string): void {
    const container = this.#containers.find((one) => one.id === id)
    container?.paused?.end()
    if (container) container.paused = undefined
  }

  /** Lets the server of a container start anew, at the same address: its leases are lost, its connections break. */
  restart(id: string): Promise<void> {
    return this.#change(async () => {
      const container = this.#containers.find((one) => one.id === id)
      if (!container?.alive) return
      await container.server.crash()
      const { server, url } = await this.#serve(container, Number(new URL(container.url).port))
      Object.assign(container, { server, url })
    })
  }

  /** Makes the next `grow` fail with this error. */
  failNextGrow(error: SlotpoolError): void {
    this.#failure = error
  }

  async #start(index: number): Promise<FakeContainer> {
    const container: Pick<FakeContainer, 'paused'> = { paused: undefined }
    return Object.assign(container, { id: randomUUID(), index, ...(await this.#serve(container, 0)), alive: true })
  }

  async #serve(container: Pick<FakeContainer, 'paused'>, port: number): Promise<Pick<FakeContainer, 'server' | 'url'>> {
    const server = await SandboxServer.start({
      pool: 'fake',
      slots: this.#slots,
      token: this.#token,
      slotsFolder: '/',
      isolation: { kind: new ScriptedJails(), reason: 'commands are answered by a script', networkReason: null },
      runtime: new ScriptedRuntime(this.#script),
      beforeRequest: async () => container.paused?.over,
      log: pino({ enabled: false }),
    })
    const url = await server.listen({ host: '127.0.0.1', port })
    // A test that forgets to take its pool down ends all the same.
    server.unref()
    return { server, url }
  }

  #change<T>(work: () => Promise<T>): Promise<T> {
    const changed = this.#changing.then(work)
    this.#changing = changed.catch(() => {})
    return changed
  }
}

function newToken(): string {
  return randomBytes(32).toString('base64url')
}

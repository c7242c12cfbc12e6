import { readdirSync } from 'node:fs'
import { rm, rmdir } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { SandboxClient } from '../../client/sandbox-client.ts'
import type { Config } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'
import { poolDir, stateDir } from '../../state-dir.ts'
import type { Backend, Container, PoolShape } from '../backend.ts'
import { type HostMount, resolveMounts } from '../host-mounts.ts'
import { readOrMakeToken, tokenPath } from '../token-file.ts'
import { endServer } from './end-server.ts'
import { withPoolLock } from './pool-lock.ts'
import { serverPlaces, sharedStateDir } from './server-places.ts'
import { isAlive, readRecord, type ServerRecord, writeRecord } from './server-record.ts'
import { startServer } from './start-server.ts'

interface LocalServer {
  index: number
  folder: string
  record: ServerRecord | undefined
  alive: boolean
}

/** Sandbox servers as detached processes on this machine, found again by a record in the pool's folder. */
export class LocalBackend implements Backend {
  readonly name = 'local'
  readonly #config: Config
  readonly #folder: string

  constructor(config: Config) {
    if (process.platform !== 'linux') {
      throw new SlotpoolError(
        'BACKEND_UNAVAILABLE',
        `got platform ${process.platform}, expected linux for TERMINAL_ENV=local; use docker`,
        {
          retryable: false,
        },
      )
    }
    this.#config = config
    this.#folder = join(stateDir(), 'local', config.pool)
  }

  async token(): Promise<string> {
    return readOrMakeToken(poolDir(this.#config.pool, 'local'))
  }

  async list(): Promise<Container[]> {
    return Promise.all(this.#servers().map((server) => this.#describe(server)))
  }

  async shape(): Promise<PoolShape | null> {
    return this.#servers().find((server) => server.alive)?.record?.shape ?? null
  }

  async check(config: Config): Promise<void> {
    await resolveMounts(config)
  }

  async grow(count: number, signal?: AbortSignal): Promise<Container[]> {
    const mounts = await resolveMounts(this.#config)
    poolDir(this.#config.pool, 'local')
    return withPoolLock(this.#folder, signal, async () => {
      const found = this.#servers()
      await Promise.all(found.filter((server) => !server.alive).map((server) => endServer(server.folder, server.record)))
      const taken = new Set(found.filter((server) => server.alive).map((server) => server.index))
      const missing: number[] = []
      for (let index = 0; taken.size + missing.length < count; index++) if (!taken.has(index)) missing.push(index)
      await this.#start(missing, mounts, signal)
      const containers = await this.list()
      const unready = containers.find((container) => container.state !== 'ready')
      if (!unready) return containers
      throw new SlotpoolError(
        'CONTAINER_FAILED',
        `local sandbox server ${unready.index} does not answer: ${unready.reason}; \`slotpool down\` ends it`,
      )
    })
  }

  async destroy(signal?: AbortSignal): Promise<void> {
    poolDir(this.#config.pool, 'local')
    await withPoolLock(this.#folder, signal, async () => {
      await Promise.all(this.#servers().map((server) => endServer(server.folder, server.record)))
      await rm(this.#folder, { recursive: true, force: true })
      if (process.geteuid?.() === 0) await rm(dirname(serverPlaces(this.#folder, 0).stateDir), { recursive: true, force: true })
    })
    // The folders above, where no other pool needs them.
    for (const folder of [dirname(this.#folder), stateDir(), sharedStateDir]) await rmdir(folder).catch(() => {})
  }

  async close(): Promise<void> {}

  /** Starts servers side by side; when one fails, the others of this call are ended too. */
  async #start(indexes: readonly number[], mounts: readonly HostMount[], signal: AbortSignal | undefined): Promise<void> {
    await this.token()
    const places = indexes.map((index) => serverPlaces(this.#folder, index))
    const started = await Promise.allSettled(
      places.map((place) => startServer(this.#config, place, tokenPath(this.#folder), mounts, signal)),
    )
    const failure = started.find((one) => one.status === 'rejected')
    if (!failure) return
    await Promise.all(
      started.map((one, at) => (one.status === 'fulfilled' ? endServer((places[at] as { folder: string }).folder, one.value) : undefined)),
    )
    throw failure.reason
  }

  #servers(): LocalServer[] {
    let names: string[]
    try {
      names = readdirSync(this.#folder)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw error
    }
    const indexes = names.filter((name) => /^[0-9]+$/.test(name)).map(Number)
    return indexes
      .sort((a, b) => a - b)
      .map((index) => {
        const folder = join(this.#folder, String(index))
        const record = readRecord(folder)
        return { index, folder, record, alive: record !== undefined && isAlive(record) }
      })
  }

  async #describe({ index, folder, record, alive }: LocalServer): Promise<Container> {
    const base = { id: record?.id ?? `local-${index}`, index, node: hostname() }
    if (!record || !alive) return { ...base, state: 'dead', reason: 'its process has ended' }
    const endpoint = { url: 'http://slotpool', socketPath: record.socketPath }
    if (record.ready) return { ...base, state: 'ready', endpoint }
    // Whoever started it is still waiting for it, or died while it did.
    const client = new SandboxClient(endpoint, await this.token())
    try {
      await client.health()
      await writeRecord(folder, { ...record, ready: true })
      return { ...base, state: 'ready', endpoint }
    } catch (error) {
      return { ...base, state: 'starting', reason: (error as Error).message }
    } finally {
      await client.close()
    }
  }
}

import { createHash } from 'node:crypto'
import { readdir, readFile, rm, rmdir } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { SandboxClient } from '../../client/sandbox-client.ts'
import type { Config } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'
import { sandboxServerBundle } from '../../package-root.ts'
import { poolDir, stateDir } from '../../state-dir.ts'
import type { Endpoint } from '../../wire/endpoint.ts'
import type { Backend, Container, PoolShape, RollOptions } from '../backend.ts'
import { withFolderLock } from '../folder-lock.ts'
import { freeIndexes } from '../free-indexes.ts'
import { type HostMount, resolveMounts } from '../host-mounts.ts'
import { pauseBeforeNextLook } from '../look-pause.ts'
import { isEarlier, shapeOf, versionId, withShape } from '../pool-version.ts'
import { retireServer } from '../retire-server.ts'
import { readOrMakeToken, tokenPath } from '../token-file.ts'
import { endForgotten, endServer } from './end-server.ts'
import { type PoolServer, poolServers } from './pool-servers.ts'
import { reapLeftovers } from './reap-leftovers.ts'
import { boundLog } from './server-log.ts'
import { serverPlaces, sharedStateDir } from './server-places.ts'
import { type ServerRecord, writeRecord } from './server-record.ts'
import { startServer } from './start-server.ts'
import { watchServers } from './watch-servers.ts'

/** What a server is made as. */
interface ServerPlan {
  config: Config
  version: ServerRecord['version']
}

/** A server whose starter died may still be starting; one that is silent for so long is not. */
const startWithinMs = 30_000

/** Sandbox servers as detached processes on this machine, found again by a record in the pool's folder. */
export class LocalBackend implements Backend {
  readonly name = 'local'
  readonly #config: Config
  readonly #folder: string
  readonly #closed = new AbortController()

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
    const servers = poolServers(this.#folder)
    for (const { folder } of servers) boundLog(folder)
    return Promise.all(servers.map((server) => this.#describe(server)))
  }

  async shape(): Promise<PoolShape | null> {
    return newestRecord(poolServers(this.#folder))?.shape ?? null
  }

  async check(config: Config): Promise<void> {
    await resolveMounts(config)
  }

  async grow(count: number, signal?: AbortSignal): Promise<Container[]> {
    poolDir(this.#config.pool, 'local')
    return withFolderLock(this.#folder, signal, async () => {
      const newest = newestRecord(poolServers(this.#folder))
      const like = newest ? { ...newest, config: withShape(this.#config, newest.shape) } : await this.#first()
      await this.#fill(count, like, signal)
      return this.list()
    })
  }

  async roll(shape: PoolShape, { force = false, signal }: RollOptions = {}): Promise<boolean> {
    poolDir(this.#config.pool, 'local')
    return withFolderLock(this.#folder, signal, async () => {
      const servers = poolServers(this.#folder).filter(({ life }) => life !== 'gone')
      const newest = newestRecord(servers)
      if (!newest) return false
      const id = versionId(shape, await serverContent())
      if (id === newest.version.id && !force) return false
      const version = { id, generation: newest.version.generation + 1, image: null }
      await this.#fill(servers.length + 1, { version, config: withShape(this.#config, shape) }, signal)
      return true
    })
  }

  /** Has so many servers live and serve; those that are made are so. By who has the folder's lock. */
  async #fill(count: number, { config, version }: ServerPlan, signal: AbortSignal | undefined): Promise<void> {
    const mounts = await resolveMounts(config)
    const found = poolServers(this.#folder)
    await Promise.all(found.filter(({ life }) => life === 'gone').map((server) => endServer(server.folder, server.record)))
    const taken = new Set(found.filter(({ life }) => life !== 'gone').map((server) => server.index))
    const missing = freeIndexes(taken, count - taken.size)
    if (missing.length > 0) await Promise.all([this.#start(missing, { config, version }, mounts, signal), reapLeftovers(this.#folder)])
    await this.#untilAllServed(signal)
  }

  async #first(): Promise<ServerPlan> {
    const id = versionId(shapeOf(this.#config, null), await serverContent())
    return { config: this.#config, version: { id, generation: 0, image: null } }
  }

  async remove({ id, index }: Container, signal?: AbortSignal): Promise<void> {
    const find = () => poolServers(this.#folder).find((one) => one.index === index && containerId(one) === id)
    if (!find()) return
    await withFolderLock(this.#folder, signal, async () => {
      const server = find()
      if (server) await endServer(server.folder, server.record)
    })
  }

  watch(onChange: () => void, signal: AbortSignal): Promise<void> {
    const look = async () => {
      const containers = await this.list()
      return {
        state: JSON.stringify(containers.map(({ id, state }) => [id, state])),
        folders: containers.map(({ index }) => join(this.#folder, String(index))),
      }
    }
    return watchServers(this.#folder, look, onChange, AbortSignal.any([signal, this.#closed.signal]))
  }

  async destroy(signal?: AbortSignal): Promise<void> {
    poolDir(this.#config.pool, 'local')
    await withFolderLock(this.#folder, signal, async () => {
      await Promise.all(poolServers(this.#folder).map((server) => endServer(server.folder, server.record)))
      await rm(this.#folder, { recursive: true, force: true })
      if (process.geteuid?.() === 0) await removeShared(dirname(serverPlaces(this.#folder, 0).stateDir))
    })
    // The folders above, where no other pool needs them.
    for (const folder of [dirname(this.#folder), stateDir(), sharedStateDir]) await rmdir(folder).catch(() => {})
  }

  async close(): Promise<void> {
    this.#closed.abort()
  }

  /** Starts servers side by side; when one fails, the others of this call are ended too, but for those in which somebody has a slot by then. */
  async #start(
    indexes: readonly number[],
    { config, version }: ServerPlan,
    mounts: readonly HostMount[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const token = await this.token()
    const places = indexes.map((index) => serverPlaces(this.#folder, index))
    const started = await Promise.allSettled(
      places.map((place) => startServer(config, place, tokenPath(this.#folder), mounts, version, signal)),
    )
    const failure = started.find((one) => one.status === 'rejected')
    if (!failure) return
    await Promise.all(
      started.map(async (one, at) => {
        if (one.status === 'rejected' || !(await retireServer(endpointOf(one.value), token))) return
        await endServer((places[at] as { folder: string }).folder, one.value)
      }),
    )
    throw failure.reason
  }

  /** Waits for servers that somebody else began to start and did not see serve. @throws {SlotpoolError} `CONTAINER_FAILED` when one does not. */
  async #untilAllServed(signal: AbortSignal | undefined): Promise<void> {
    const beganAt = performance.now()
    for (;;) {
      if (signal?.aborted) throw new SlotpoolError('CANCELLED', 'gave up waiting for a sandbox server to start', { cause: signal.reason })
      const waiting = poolServers(this.#folder).find(({ life, record }) => life !== 'gone' && !record?.ready)
      if (!waiting) return
      const { state, reason } = await this.#describe(waiting)
      if (state !== 'starting') continue
      const elapsedMs = performance.now() - beganAt
      if (elapsedMs > startWithinMs) {
        throw new SlotpoolError(
          'CONTAINER_FAILED',
          `local sandbox server ${waiting.index} does not answer: ${reason}; \`slotpool down\` ends it`,
        )
      }
      await delay(pauseBeforeNextLook(elapsedMs), undefined, signal ? { signal } : {}).catch(() => undefined)
    }
  }

  async #describe(server: PoolServer): Promise<Container> {
    const { index, folder, record, life } = server
    const base = { id: containerId(server), index, node: hostname(), ...(record ? { version: record.version } : {}) }
    if (!record || life === 'gone') return { ...base, state: 'dead', reason: 'its process has ended' }
    const endpoint = endpointOf(record)
    if (life === 'stopped') {
      return { ...base, state: 'starting', endpoint, reason: `its process was stopped; \`kill -CONT ${record.pid}\` lets it go on` }
    }
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

/** The record of one of those that serve and are of the newest version; where none serves, of those that live. */
function newestRecord(servers: readonly PoolServer[]): ServerRecord | undefined {
  const live = servers.flatMap(({ life, record }) => (record && life !== 'gone' ? [record] : []))
  const serving = live.filter((one) => one.ready)
  let newest: ServerRecord | undefined
  for (const one of serving.length > 0 ? serving : live) if (!newest || isEarlier(newest.version, one.version)) newest = one
  return newest
}

/** The program that servers are: another one after slotpool was updated. */
async function serverContent(): Promise<string> {
  return createHash('sha256')
    .update(await readFile(sandboxServerBundle()))
    .digest('hex')
}

/** What the pool has in `/var/lib/slotpool`, with servers whose records were removed with the state folder. */
async function removeShared(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => [])
  for (const name of names) await endForgotten(join(folder, name))
  await rm(folder, { recursive: true, force: true })
}

const endpointOf = ({ socketPath }: ServerRecord): Endpoint => ({ url: 'http://slotpool', socketPath })

function containerId({ index, record }: PoolServer): string {
  return record?.id ?? `local-${index}`
}

import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Backend, Container } from '../../lib/backend/backend.ts'
import { withFolderLock } from '../../lib/backend/folder-lock.ts'
import { endServer } from '../../lib/backend/local/end-server.ts'
import { LocalBackend } from '../../lib/backend/local/local-backend.ts'
import { serverPlaces } from '../../lib/backend/local/server-places.ts'
import { readRecord, type ServerRecord } from '../../lib/backend/local/server-record.ts'
import { loadConfig, type SlotPoolOptions } from '../../lib/config.ts'
import { signalProcess } from '../../lib/sandbox/processes.ts'
import { stateDir } from '../../lib/state-dir.ts'
import { groupsOf } from '../leftovers/control-groups.ts'
import { mountsWith } from '../leftovers/mounts.ts'
import { isRunning, processesWith } from '../leftovers/processes.ts'
import type { Place, PlaceOptions } from './place.ts'
import { StoppedServers } from './stopped-servers.ts'

/** Sandbox servers as processes of this machine. */
export class LocalPlace implements Place {
  readonly name = 'local'
  readonly managersUse = 'own'
  readonly options: SlotPoolOptions = { env: 'local' }
  readonly backend: Backend
  readonly faults: Place['faults'] = {
    'server-kill': { inject: (container) => this.#kill(container) },
    'container-remove': { inject: (container) => this.#remove(container) },
    'server-stall': { inject: (container, extent) => this.#stopped.stall(this.#server(container), extent) },
  }
  /** The folder of the pool's records, and that of its slots. */
  readonly #folder: string
  readonly #slots: string
  readonly #mark: string
  readonly #servers = new Map<string, ServerRecord>()
  readonly #stopped = new StoppedServers()

  constructor({ pool, options }: PlaceOptions) {
    this.#mark = pool
    this.backend = new LocalBackend(loadConfig({ ...options, ...this.options }))
    this.#folder = join(stateDir(), 'local', pool)
    const { stateDir: slots } = serverPlaces(this.#folder, 0)
    this.#slots = process.geteuid?.() === 0 ? dirname(slots) : slots
  }

  async note(): Promise<void> {
    for (const { index } of await this.backend.list()) {
      const record = readRecord(join(this.#folder, String(index)))
      if (record) this.#servers.set(record.id, record)
    }
  }

  async left(): Promise<string[]> {
    const marks = [this.#mark, this.#slots]
    const sockets = [...this.#servers.values()].map((one) => one.socketPath)
    const paths = [this.#folder, `${this.#folder}.lock`, this.#slots, ...sockets]
    const servers = [...this.#servers.values()]
    const running = await Promise.all(servers.map(isRunning))
    const groups = await groupsOf(servers)
    return [
      ...servers.filter((_, at) => running[at]).map(({ pid }) => `sandbox server ${pid}`),
      ...paths.filter((path) => existsSync(path)).map((path) => `file ${path}`),
      ...groups.map((path) => `control group ${path}`),
      ...mountsWith(marks),
      ...(await processesWith([...marks, ...groups])),
    ]
  }

  async close(): Promise<void> {
    await this.#stopped.close()
    await this.backend.close()
  }

  /** The server of a container that there still is. */
  #server({ index, id }: Container): ServerRecord | undefined {
    const record = readRecord(join(this.#folder, String(index)))
    return record?.id === id ? record : undefined
  }

  async #kill(container: Container): Promise<void> {
    const server = this.#server(container)
    if (server && (await isRunning(server))) signalProcess(server.pid, 'SIGKILL')
  }

  /** As whoever takes one container of a pool away: the server is told to end, and its record goes with it. */
  async #remove(container: Container): Promise<void> {
    await withFolderLock(this.#folder, undefined, async () => {
      const server = this.#server(container)
      if (server) await endServer(join(this.#folder, String(container.index)), server)
    })
  }
}

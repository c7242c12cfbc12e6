import type { Backend } from '../../lib/backend/backend.ts'
import { poolLabel } from '../../lib/backend/docker/container-labels.ts'
import { DockerBackend } from '../../lib/backend/docker/docker-backend.ts'
import { removeContainer } from '../../lib/backend/docker/remove-container.ts'
import { loadConfig, type SlotPoolOptions } from '../../lib/config.ts'
import { stateDir } from '../../lib/state-dir.ts'
import { filesIn } from '../leftovers/files.ts'
import { mountsWith } from '../leftovers/mounts.ts'
import { processesWith } from '../leftovers/processes.ts'
import { EngineContainers } from './engine-containers.ts'
import type { Place, PlaceOptions } from './place.ts'
import { StoppedServers } from './stopped-servers.ts'

/** Containers of this machine's Docker engine. */
export class DockerPlace implements Place {
  readonly name = 'docker'
  readonly managersUse = 'own'
  readonly options: SlotPoolOptions = { env: 'docker' }
  readonly backend: Backend
  readonly #containers = new EngineContainers()
  readonly #stopped = new StoppedServers()
  readonly #pool: string
  readonly #volumes = new Set<string>()
  readonly faults: Place['faults'] = {
    'server-kill': { inject: ({ id }) => this.#containers.kill(id) },
    'container-remove': { inject: ({ id }) => removeContainer(this.#containers.engine, id) },
    'server-stall': { inject: async ({ id }, extent) => this.#stopped.stall(await this.#containers.server(id), extent) },
  }

  constructor({ pool, options }: PlaceOptions) {
    this.#pool = pool
    this.backend = new DockerBackend(loadConfig({ ...options, ...this.options }))
  }

  async note(): Promise<void> {
    for (const id of await this.#containers.ids(this.#label)) {
      for (const name of await this.#containers.volumesOf(id)) this.#volumes.add(name)
    }
  }

  async left(): Promise<string[]> {
    const [ids, volumes] = await Promise.all([this.#containers.ids(this.#label), this.#containers.volumes()])
    return [
      ...ids.map((id) => `container ${id}`),
      ...volumes.filter((name) => this.#volumes.has(name)).map((name) => `volume ${name}`),
      ...(await filesIn(stateDir())),
      ...mountsWith([this.#pool]),
      ...(await processesWith([this.#pool])),
    ]
  }

  async close(): Promise<void> {
    await this.#stopped.close()
    this.#containers.close()
    await this.backend.close()
  }

  get #label(): string {
    return `${poolLabel}=${this.#pool}`
  }
}

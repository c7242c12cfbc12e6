import type { BackendName, Config, SlotPoolOptions } from '../config.ts'
import type { Backend } from './backend.ts'
import { withDockerImage } from './docker/with-docker-image.ts'
import type { Registry } from './registry/registry.ts'

/** Takes one line that a person should see, such as that another backend is used than the one asked for. */
export type Notice = (line: string) => void

/**
 * One backend, as the pool of a configuration has it: how its containers are made, found and ended, and where the images are that they are made
 * from. What holds for containers and leases is said in `Backend` and `SlotPool`; this is for programs that manage pools without using them.
 */
export interface Provider {
  readonly name: BackendName

  /**
   * Makes the pool have its `min` containers and resolves when they serve. What runs already stays as it is.
   *
   * @throws {SlotpoolError} as `Backend.check` and `Backend.grow`; no container of a start that failed is left.
   */
  create(signal?: AbortSignal): Promise<Backend>

  /** The pool as it is, or is not: makes nothing, and asks nobody. @throws {SlotpoolError} what the backend cannot be used for. */
  load(): Promise<Backend>

  /** Ends the pool for everybody; commands that run have the pool's `drainMs`. One that is not there is no error. */
  destroy(signal?: AbortSignal): Promise<void>

  /** Where its images are. */
  registry(): Promise<Registry>
}

/** How `openProvider` goes about it. */
export interface ProviderOptions extends SlotPoolOptions {
  /** Gives up looking for what answers. */
  signal?: AbortSignal
  /** Takes lines meant for a person. Default: they go to stderr. */
  onNotice?: Notice
}

/** The provider of a backend. Engines are loaded only when they are used. */
export function providerOf(name: BackendName, config: Config, notice: Notice): Provider {
  const load = () => loadBackend(name, config, notice)
  return {
    name,
    load,
    create: async (signal) => {
      const backend = await load()
      try {
        await backend.check?.(config)
        await backend.grow(config.min, signal)
        return backend
      } catch (error) {
        await backend.close()
        throw error
      }
    },
    destroy: async (signal) => {
      const backend = await load()
      try {
        await backend.destroy(signal)
      } finally {
        await backend.close()
      }
    },
    registry: () => loadRegistry(name, config),
  }
}

async function loadBackend(name: BackendName, config: Config, notice: Notice): Promise<Backend> {
  switch (name) {
    case 'local':
      return new (await import('./local/local-backend.ts')).LocalBackend(config)
    case 'docker':
      return new (await import('./docker/docker-backend.ts')).DockerBackend(withDockerImage(config), process.env, notice)
    case 'nomad':
      return new (await import('./nomad/nomad-backend.ts')).NomadBackend(config, notice)
  }
}

/** What Nomad's nodes have is their own business: its images are made and pushed with the engine of this machine. */
async function loadRegistry(name: BackendName, { nomad }: Config): Promise<Registry> {
  if (name === 'docker' || (name === 'nomad' && nomad.driver === 'docker')) {
    return new (await import('./docker/docker-registry.ts')).DockerRegistry()
  }
  return new (await import('./registry/local-registry.ts')).LocalRegistry()
}

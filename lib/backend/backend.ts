import type { BackendName, Config, NomadDriver } from '../config.ts'
import type { PoolTerms } from '../pool-terms.ts'
import type { Endpoint } from '../wire/endpoint.ts'

/** What serves slots: a Nomad allocation, a Docker container or a local process. */
export interface Container {
  /** Unique and never used again: an allocation id, a container id, the id of a local process. */
  id: string
  /** Its place in the pool, from 0. The highest is removed first. */
  index: number
  /** The machine it runs on. */
  node: string
  /** `ready` has an endpoint that answered; `dead` serves nobody any more. */
  state: 'starting' | 'ready' | 'dead'
  endpoint?: Endpoint
  /** Why it is `dead` or not yet `ready`, in the engine's own words. */
  reason?: string
}

/** What the running containers of a pool were made with, as far as the backend can tell. */
export interface PoolShape extends PoolTerms {
  image: string | null
  slots: number
  isolation: string
  network: string
}

/**
 * Where containers come from. One instance serves one pool by its name; any number of processes may hold one for the same pool.
 *
 * What it leaves out: leases and commands. Those are between the pool and the sandbox server in a container.
 */
export interface Backend {
  readonly name: BackendName | 'fake'
  readonly driver?: NomadDriver

  /** The bearer token of the pool's sandbox servers, made on first use and the same for every process that may manage the pool. */
  token(signal?: AbortSignal): Promise<string>

  /** All containers of the pool in order of their index, dead ones included. Makes none. */
  list(signal?: AbortSignal): Promise<Container[]>

  /**
   * Refuses what containers of this backend cannot be given, before anything is made. Missing where they can be given whatever there is.
   *
   * @throws {SlotpoolError} `MOUNT_INVALID`.
   */
  check?(config: Config): Promise<void>

  /** What the pool's containers were made with; null when there are none. */
  shape(signal?: AbortSignal): Promise<PoolShape | null>

  /**
   * Makes the pool have at least `count` live containers and resolves with all when that many are ready. Dead and half-made ones
   * are removed on the way. Several processes may ask at once: together they make no more than the largest count asked for.
   * A start that fails or is aborted leaves none of its own behind.
   *
   * @throws {SlotpoolError} with the engine's own reason, as soon as the engine knows it.
   */
  grow(count: number, signal?: AbortSignal): Promise<Container[]>

  /** Removes every container of the pool with its volumes, the token and all state. Resolves when nothing is left. */
  destroy(signal?: AbortSignal): Promise<void>

  /** Lets go of connections. Containers stay. */
  close(): Promise<void>
}

import type { BackendName, Config, NomadDriver } from '../config.ts'
import type { Placement } from '../placement.ts'
import type { PoolTerms } from '../pool-terms.ts'
import type { Endpoint } from '../wire/endpoint.ts'
import type { PoolVersion } from './pool-version.ts'

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
  /** It is `dead` to whoever wants a slot, but was only told to end: what runs there may yet come to its end, and can be asked for. */
  ending?: true
  /** Why it is `dead` or not yet `ready`, in the engine's own words. */
  reason?: string
  /** What it was made with. Missing where the backend does not tell. */
  version?: PoolVersion
}

/** What the running containers of a pool were made with, as far as the backend can tell. */
export interface PoolShape extends PoolTerms {
  image: string | null
  /** What runs its containers, for a backend that has a choice. */
  driver?: NomadDriver
  slots: number
  isolation: string
  network: string
  /** Where its containers may be, for a backend that has a choice. */
  placement?: Placement
}

/** How {@link Backend.roll} goes about it. */
export interface RollOptions {
  /** Changes the pool also where nothing differs, and over what was changed by hand. Default: false. */
  force?: boolean
  signal?: AbortSignal | undefined
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

  /** What the pool's containers were made with, those of its newest version; null when there are none. */
  shape(signal?: AbortSignal): Promise<PoolShape | null>

  /**
   * Makes the pool have at least `count` live containers, whatever their version, and resolves with all when that many are ready. Those it makes
   * are as the pool's newest version is; only where there are none they are as this process was told. Dead and half-made ones are removed
   * on the way. Several processes may ask at once: together they make no more than the largest count asked for.
   * A start that fails or is aborted leaves none of its own behind.
   *
   * @throws {SlotpoolError} with the engine's own reason, as soon as the engine knows it.
   */
  grow(count: number, signal?: AbortSignal): Promise<Container[]>

  /**
   * Begins to move the pool over to another shape: makes one container of it, beside those that there are, and resolves when that is ready.
   * From then on it is the newest version, of which every process makes what it makes. Several may ask at once for the same: together they
   * make one. Missing where a pool cannot be changed. A start that fails or is aborted leaves the pool as it was.
   *
   * @returns false where there is nothing to change: the newest version is of that shape, or there are no containers.
   * @throws {SlotpoolError} as {@link grow} does; `POOL_CONFIG_MISMATCH` for a setting that cannot be changed so, and when another process has
   *   begun another change meanwhile; `POOL_CHANGED_BY_HAND` where what somebody changed by hand would be lost, unless `force`.
   */
  roll?(shape: PoolShape, options?: RollOptions): Promise<boolean>

  /** What somebody changed by hand of what containers are made from, a line for each thing; none where nobody did. Missing where nobody can. */
  changedByHand?(signal?: AbortSignal): Promise<string[]>

  /** Set where only the container of a version with the highest index can go for good: any other would be replaced by its like. */
  readonly removesHighestOnly?: boolean

  /**
   * Removes that very container with its volumes, whoever uses it, and what is left of one that is dead; resolves when it serves nobody any more.
   * One that is gone is no error. Another one never takes harm by it, though on Nomad it may be replaced: where it is not the highest of the
   * pool, Nomad puts another in its place.
   *
   * @throws {SlotpoolError} the engine's own failure, or `CANCELLED`.
   */
  remove(container: Container, signal?: AbortSignal): Promise<void>

  /**
   * Calls `onChange` when it has begun to watch, and soon after a container of the pool came, became ready, died or went; perhaps more often.
   * What is missed while a connection is lost is made up for by one call after it is back. It does not say what changed: {@link list} does,
   * and whoever lists after each call misses nothing. A server that goes silent is no change: that is found out by who asks it.
   *
   * Resolves when `signal` aborts, and when the backend is closed. Failures that may pass are retried with growing pauses, of 10 s at most. Keeps no
   * process alive that has nothing else to do. `onChange` must not throw.
   *
   * @throws {SlotpoolError} a failure that will not pass, such as `NOMAD_FORBIDDEN`.
   */
  watch(onChange: () => void, signal: AbortSignal): Promise<void>

  /** Removes every container of the pool with its volumes, the token and all state. Resolves when nothing is left. */
  destroy(signal?: AbortSignal): Promise<void>

  /** Lets go of connections, and ends what watches. Containers stay. */
  close(): Promise<void>
}

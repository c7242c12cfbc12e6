import { createHash } from 'node:crypto'
import type { Config, IsolationChoice, NetworkChoice } from '../config.ts'
import { SlotpoolError } from '../errors.ts'
import { mountText } from '../mount.ts'
import { placementNames } from '../placement.ts'
import { termsOf } from '../pool-terms.ts'
import { slotLimitNames } from '../slot-limits.ts'
import type { Container, PoolShape } from './backend.ts'

/** What a container was made with, in short. While a pool is being changed its containers are of two versions, or more. */
export interface PoolVersion {
  /** Eight hexadecimal digits, others for each shape, and for another content of the same image where the backend can tell. */
  id: string
  /** How often the pool was changed before. Containers of the highest are of the newest version; all others are to go. */
  generation: number
  /** As it was asked for; null where there is none. */
  image: string | null
}

/** The id of a version. `content` is what the image's name does not say: the image that the name stood for. */
export function versionId(shape: PoolShape, content: string): string {
  const { image, toolsImage = null, slots, isolation, network, limits, networkAllow, mounts } = shape
  const { maxReuses = null, drainMs = 0, placement = {}, driver } = shape
  const parts = [
    ...[image, toolsImage, content, slots, isolation, network, maxReuses, drainMs],
    slotLimitNames.map((name) => limits[name] ?? null),
    [...networkAllow].sort(),
    mounts.map(mountText).sort(),
    placementNames.map((name) => placement[name] ?? null),
    ...(driver === undefined ? [] : [driver]),
  ]
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 8)
}

/** The newest of these versions. Of two changes that were begun at the same moment, all choose the same one. */
export function newestVersion(versions: readonly (PoolVersion | undefined)[]): PoolVersion | undefined {
  let newest: PoolVersion | undefined
  for (const one of versions) if (one && (!newest || isEarlier(newest, one))) newest = one
  return newest
}

/** Whether `one` has to make room for `other`. */
export function isEarlier(one: PoolVersion, other: PoolVersion): boolean {
  return one.generation === other.generation ? one.id < other.id : one.generation < other.generation
}

/** The newest version of these containers: of those that serve, else of those that may come to serve. One that does not serve yet may never do so. */
export function newestOf(containers: readonly Container[]): PoolVersion | undefined {
  const ready = containers.filter((one) => one.state === 'ready')
  return newestVersion((ready.length > 0 ? ready : containers.filter((one) => one.state !== 'dead')).map((one) => one.version))
}

/** The containers that live and are of an earlier version than the newest: those that are to go. */
export function earlierContainers(containers: readonly Container[]): Container[] {
  const newest = newestOf(containers)
  return newest ? containers.filter(({ state, version }) => state !== 'dead' && version && isEarlier(version, newest)) : []
}

/**
 * Of two who change a pool to something else at the same moment one has to give way.
 *
 * @throws {SlotpoolError} `POOL_CONFIG_MISMATCH` when `newest` is that of somebody else.
 */
export function refuseOtherChange(pool: string, newest: PoolVersion | undefined, own: Pick<PoolVersion, 'id' | 'generation'>): void {
  if (!newest || newest.generation < own.generation || (newest.generation === own.generation && newest.id === own.id)) return
  throw new SlotpoolError(
    'POOL_CONFIG_MISMATCH',
    `pool ${pool} was changed to version ${newest.id} (image ${newest.image ?? 'none'}) by another process meanwhile, expected version ${own.id}`,
    { details: { option: 'version', running: newest.id, got: own.id } },
  )
}

/** The shape that a configuration asks for; `image` is null where there is none. */
export function shapeOf(config: Config, image: string | null): PoolShape {
  const { slots, isolation, network } = config
  return { image, slots, isolation, network, ...termsOf(config) }
}

/** The configuration with the settings of a shape in place of its own. */
export function withShape(config: Config, shape: PoolShape): Config {
  const { maxReuses: _, toolsImage: __, ...rest } = config
  const { image, toolsImage, slots, isolation, network, limits, networkAllow, mounts, maxReuses, drainMs = 0 } = shape
  const { driver = config.nomad.driver } = shape
  return {
    ...rest,
    nomad: { ...config.nomad, driver },
    ...{ image: image ?? config.image, slots, limits, networkAllow, mounts, drainMs },
    isolation: isolation as IsolationChoice,
    network: network as NetworkChoice,
    ...(maxReuses === undefined ? {} : { maxReuses }),
    ...(toolsImage === undefined ? {} : { toolsImage }),
  }
}

import type { PoolShape } from '../backend/backend.ts'
import type { Config } from '../config.ts'
import { mountText } from '../mount.ts'
import { type Placement, placementNames, placementOf } from '../placement.ts'
import type { PoolTerms } from '../pool-terms.ts'
import { slotLimitNames } from '../slot-limits.ts'

/** One setting in which a running pool is another than the one that was asked for. */
export interface ShapeDifference {
  option: string
  running: string | number
  got: string | number
}

/** The first setting that somebody asked for and that the running pool has otherwise; what nobody named is taken as the pool has it. */
export function shapeDifference(config: Config, shape: PoolShape): ShapeDifference | undefined {
  for (const option of ['image', 'slots', 'isolation', 'network'] as const) {
    const running = shape[option]
    if (running !== null && config.given.has(option) && config[option] !== running) return { option, running, got: config[option] }
  }
  for (const name of slotLimitNames) {
    const option = `limits.${name}`
    const got = config.limits[name]
    if (got !== undefined && got !== shape.limits[name]) return { option, running: shape.limits[name] ?? 'its default', got }
  }
  for (const [option, otherwise] of Object.entries(optional)) {
    // Where containers have no image, none is served from another.
    if (option === 'toolsImage' && shape.image === null) continue
    const [running, got] = [shape[option as keyof typeof optional] ?? otherwise, config[option as keyof typeof optional] ?? otherwise]
    if (config.given.has(option) && got !== running) return { option, running, got }
  }
  for (const [option, write] of Object.entries(lists)) {
    const [running, got] = [write(shape), write(config)]
    if (config.given.has(option) && got !== running) return { option, running, got }
  }
  for (const name of shape.placement ? placementNames : []) {
    const option = `nomad.${name}`
    const [running, got] = [shownOf(shape.placement?.[name]), shownOf(config.nomad[name])]
    if (config.given.has(option) && got !== running) return { option, running, got }
  }
  return undefined
}

/** The shape of a pool that is changed as somebody asked for: what nobody named is as the pool has it. */
export function changedShape(config: Config, running: PoolShape): PoolShape {
  const { given } = config
  const named = <const K extends keyof Config & keyof PoolShape>(...names: K[]): Partial<PoolShape> =>
    Object.fromEntries(names.filter((name) => given.has(name)).map((name) => [name, config[name]]))
  const { placement } = running
  return {
    ...running,
    ...named('slots', 'isolation', 'network', 'networkAllow', 'mounts', 'maxReuses', 'drainMs'),
    ...(running.image === null ? {} : named('image', 'toolsImage')),
    limits: { ...running.limits, ...config.limits },
    ...(placement ? { placement: changedPlacement(config, placement) } : {}),
  }
}

function changedPlacement({ nomad, given }: Config, running: Placement): Placement {
  const named = Object.fromEntries(placementNames.filter((name) => given.has(`nomad.${name}`)).map((name) => [name, nomad[name]]))
  const { cpuMhz, cores, ...rest } = running
  // One is asked for instead of the other.
  const processors =
    'cpuMhz' in named || 'cores' in named ? {} : placementOf({ ...(cpuMhz ? { cpuMhz } : {}), ...(cores ? { cores } : {}) })
  return { ...rest, ...processors, ...named }
}

function shownOf(value: string | number | readonly string[] | undefined): string | number {
  return typeof value === 'object' ? joined(value) : (value ?? 'its default')
}

/** What a pool has that was made without. */
const optional = { toolsImage: 'none', maxReuses: 'no bound', drainMs: 0 } as const

/** Lists whose order means nothing; nor does what a mount is described as. */
const lists: Record<string, (terms: PoolTerms) => string> = {
  networkAllow: ({ networkAllow }) => joined(networkAllow),
  mounts: ({ mounts }) => joined(mounts.map(mountText)),
}

function joined(parts: readonly string[]): string {
  return parts.length === 0 ? 'none' : [...parts].sort().join(', ')
}

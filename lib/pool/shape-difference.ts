import type { PoolShape } from '../backend/backend.ts'
import type { Config } from '../config.ts'
import { mountText } from '../mount.ts'
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
  for (const [option, write] of Object.entries(lists)) {
    const [running, got] = [write(shape), write(config)]
    if (config.given.has(option) && got !== running) return { option, running, got }
  }
  return undefined
}

/** Lists whose order means nothing; nor does what a mount is described as. */
const lists: Record<string, (terms: PoolTerms) => string> = {
  networkAllow: ({ networkAllow }) => joined(networkAllow),
  mounts: ({ mounts }) => joined(mounts.map(mountText)),
}

function joined(parts: readonly string[]): string {
  return parts.length === 0 ? 'none' : [...parts].sort().join(', ')
}

import type { IsolationChoice, NetworkChoice } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'
import type { PoolJob } from '../../nomad/job-spec.ts'
import type { Placement } from '../../placement.ts'
import { termsOf } from '../../pool-terms.ts'
import type { PoolShape } from '../backend.ts'

/** What a group of one container of another shape is made from. */
export function changedJob({ pool, version, image }: Omit<PoolJob, 'count'>, shape: PoolShape, generation: number): PoolJob {
  return {
    ...{ pool, version, generation, count: 1 },
    ...(shape.driver === undefined ? {} : { driver: shape.driver }),
    ...{ image: shape.image ?? image, slots: shape.slots, placement: shape.placement ?? {} },
    isolation: shape.isolation as IsolationChoice,
    network: shape.network as NetworkChoice,
    ...termsOf(shape),
  }
}

/** Where Nomad has one value for the whole job, and ends what runs elsewhere when it changes. */
const ofTheJob = ['datacenters', 'nodePool'] as const

/** @throws {SlotpoolError} `POOL_CONFIG_MISMATCH` for what cannot be changed while containers of before run. */
export function refuseFixedPlacement(pool: string, running: Placement, wanted: Placement): void {
  for (const name of ofTheJob) {
    const [before, after] = [shown(running[name]), shown(wanted[name])]
    if (before === after) continue
    throw new SlotpoolError(
      'POOL_CONFIG_MISMATCH',
      `pool ${pool} runs with nomad.${name} ${before}, got ${after}; Nomad has that for all of a job at once, so it cannot be changed container by ` +
        'container; run `slotpool down` first, or use another TERMINAL_POOL',
      { details: { option: `nomad.${name}`, running: before, got: after } },
    )
  }
}

function shown(value: string | readonly string[] | undefined): string {
  return value === undefined ? 'its default' : typeof value === 'string' ? value : [...value].sort().join(', ')
}

/** @throws {SlotpoolError} `POOL_CHANGED_BY_HAND` when there are any. */
export function refuseLossOfChanges(pool: string, changes: readonly string[]): void {
  if (changes.length === 0) return
  throw new SlotpoolError(
    'POOL_CHANGED_BY_HAND',
    `the job of pool ${pool} was changed by hand, and new containers would be without that: ${changes.join('; ')}; expected --force, or the job as ` +
      'slotpool made it',
    { details: { changes: [...changes] } },
  )
}

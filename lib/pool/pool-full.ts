import { SlotpoolError } from '../errors.ts'
import type { Growth } from './growth.ts'
import type { PoolStatus } from './pool-status.ts'

/** Why somebody waited in vain: how full the pool is, if that could be found out, and what keeps it from growing. */
export function poolFull(
  waitMs: number,
  status: PoolStatus | undefined,
  { max, waiting, growth, cause }: { max: number; waiting: number; growth: Growth; cause: SlotpoolError },
): SlotpoolError {
  const { target: growingTo, failure } = growth
  const growing = growingTo === undefined ? '' : `, and the pool is growing to ${growingTo} containers`
  const stuck = failure === undefined ? '' : `, and the pool could not grow: ${failure.message}`
  return new SlotpoolError(
    'POOL_FULL',
    `no slot came free within ${waitMs} ms: ${status ? fullness(status, max) : 'how full the pool is could not be found out'}, ${waiting} more wait in this process${growing}${stuck}; release slots, wait longer, or raise TERMINAL_NOMAD_MAX`,
    {
      cause: failure ?? cause,
      details: {
        ...{ ...status?.totals, max, waiting },
        ...(growingTo === undefined ? {} : { growingTo }),
        ...(failure === undefined ? {} : { growthFailure: failure.toJSON() }),
      },
    },
  )
}

function fullness({ totals, containers }: PoolStatus, max: number): string {
  const live = containers.filter((one) => one.state !== 'dead').length
  return `${totals.leased} of ${totals.slots} slots are leased in ${live} of at most ${max} containers`
}

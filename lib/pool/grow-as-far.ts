import { SlotpoolError } from '../errors.ts'

/** How a pool is made larger, and who would be glad of less. */
export interface GrowAsFarOptions {
  /** Makes the pool have `count` containers, or leaves it as it was. */
  grow: (count: number) => Promise<void>
  /** How many wait for a slot. */
  waiting: () => number
}

/**
 * Makes a pool have `count` containers, or where the engine says that it has room for fewer, so many: those who wait have slots of these.
 *
 * Where there was none and nobody waits, it is all or nothing: whoever opens a pool gets it whole, or an error and nothing to clean up. Where there was none
 * and somebody waits, he is not to be told of an error while there are slots for him: who then gets none begins the next growth, which says why.
 *
 * @throws what kept the pool from having `count`, after it has been made as large as may be.
 */
export async function growAsFar({ grow, waiting }: GrowAsFarOptions, count: number): Promise<void> {
  try {
    await grow(count)
  } catch (error) {
    const { live, placeable } = boundsOf(error)
    if (placeable <= live || placeable >= count || (live === 0 && waiting() === 0)) throw error
    await grow(placeable)
    if (live > 0) throw error
  }
}

/** How many containers there were, and how many there may be, as the engine has it; none where it does not say. */
function boundsOf(error: unknown): { live: number; placeable: number } {
  const { live, placeable } = error instanceof SlotpoolError && error.code === 'NOMAD_PLACEMENT_FAILED' ? error.details : {}
  return typeof live === 'number' && typeof placeable === 'number' ? { live, placeable } : { live: 0, placeable: 0 }
}

import { SlotpoolError } from '../errors.ts'
import type { Clock } from '../sandbox/clock.ts'
import type { Look } from './containers.ts'
import { releaseLease } from './release-lease.ts'
import { askBriefly, type SilentContainer } from './silent-container.ts'

/** Ends all leases in the containers; those that live and could not be asked for theirs, or to end them, are `silent`. */
export async function releaseEvery(
  { all, ready, served }: Look,
  clock: Clock,
  signal: AbortSignal,
): Promise<{ released: number; silent: SilentContainer[] }> {
  const silent: SilentContainer[] = []
  const counts = await Promise.all(
    ready.map(async ({ container: { id, node }, client }) => {
      let count = 0
      try {
        const { slots } = await askBriefly((either) => client.status(either), signal, clock)
        const leases = slots.flatMap(({ lease }) => (lease ? [lease] : []))
        await Promise.all(leases.map((lease) => releaseLease(client, lease.leaseId, clock, signal).then(() => count++)))
      } catch (error) {
        silent.push({ id, node, error: SlotpoolError.from(error) })
      }
      return count
    }),
  )
  // One that has an address runs and does not answer: it may have answered others.
  for (const { id, node, state, endpoint, reason } of all) {
    if (state !== 'starting' || (endpoint === undefined && !served.some((one) => one.container.id === id))) continue
    silent.push({ id, node, error: new SlotpoolError('SERVER_UNREACHABLE', reason ?? 'it does not answer') })
  }
  return { released: counts.reduce((sum, count) => sum + count, 0), silent }
}

/** The slots of these containers may be leased all the same. */
export function notAllReleased(released: number, silent: readonly [SilentContainer, ...SilentContainer[]]): SlotpoolError {
  const [{ id, node, error }] = silent
  return new SlotpoolError(
    error.code === 'CANCELLED' ? 'CANCELLED' : 'SERVER_UNREACHABLE',
    `released ${released} slots, but not those of container ${id} on ${node}, which lives and could not be asked: ${error.message}`,
    { cause: error, details: { released, silentContainers: silent.map((one) => one.id) } },
  )
}

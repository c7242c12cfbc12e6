import { SandboxClient } from '../../client/sandbox-client.ts'
import { SlotpoolError } from '../../errors.ts'
import { type AllocationStub, allocationIndex, listJobAllocations, listJobPorts } from '../../nomad/allocations.ts'
import { waitForEvaluation } from '../../nomad/evaluations.ts'
import { allocationEndpoint, isLive } from './containers.ts'
import type { Growth } from './grow-pool.ts'
import type { NomadPool } from './nomad-pool.ts'
import { lowerCount } from './pool-count.ts'
import { removeJob, waitUntilRemoved } from './removal.ts'

/** Taking back is not the caller's to give up, so it has a bound of its own: the kill of a container and room for a busy node. */
const undoWithinMs = 60_000

/** What one container may take to say whether it has leases. */
const statusTimeoutMs = 2_000

/**
 * Takes back what a growth changed, then throws `error`, which ended it. When that fails too, the error's details say so.
 *
 * The count goes back to what ran before, or to the highest container that somebody leased a slot of in the meantime. A count that another
 * process changed since is that process's, and stays.
 */
export async function undoGrowth(pool: NomadPool, growth: Growth, error: unknown): Promise<never> {
  if (growth.changedTo === null) throw error
  try {
    await undo(pool, growth, growth.changedTo, AbortSignal.timeout(undoWithinMs))
  } catch (undoError) {
    const failure = SlotpoolError.from(error)
    throw new SlotpoolError(failure.code, `${failure.message}; taking back what was begun failed too: ${(undoError as Error).message}`, {
      cause: error,
      details: { ...failure.details, job: pool.jobId },
      retryable: failure.retryable,
    })
  }
  throw error
}

async function undo(pool: NomadPool, growth: Growth, changedTo: number, signal: AbortSignal): Promise<void> {
  const { value: allocations } = await listJobAllocations(pool.client, pool.jobId, {}, {}, signal)
  const kept = await keptCount(pool, growth, allocations.filter(isLive), signal)
  const lowered = await lowerCount(pool, kept, changedTo, signal)
  if (lowered === null) return
  await waitForEvaluation(pool.client, lowered.EvalID, signal)
  if (kept > 0) return waitUntilRemoved(pool, (one) => !growth.ranBefore.has(one.ID) && one.DesiredStatus !== 'run', signal)
  await removeJob(pool, signal)
  await pool.token.undo(signal)
}

/** Nomad removes the highest indexes first, so what is to stay says how many do. */
async function keptCount(pool: NomadPool, growth: Growth, live: readonly AllocationStub[], signal: AbortSignal): Promise<number> {
  const leased = await leasedAllocations(
    pool,
    live.filter((one) => !growth.ranBefore.has(one.ID) && pool.answered.has(one.ID)),
    signal,
  )
  const kept = live.filter((one) => growth.ranBefore.has(one.ID) || leased.has(one.ID))
  return Math.max(0, ...kept.map((one) => allocationIndex(one) + 1))
}

async function leasedAllocations(pool: NomadPool, started: readonly AllocationStub[], signal: AbortSignal): Promise<Set<string>> {
  if (started.length === 0) return new Set()
  const token = await pool.token.ensure(signal)
  const ports = await listJobPorts(pool.client, pool.jobId, signal)
  const leased = await Promise.all(
    started.map(async (one) => {
      const endpoint = allocationEndpoint(ports.get(one.ID))
      if (endpoint === undefined) return null
      const client = new SandboxClient(endpoint, token)
      try {
        const status = await client.status(AbortSignal.any([signal, AbortSignal.timeout(statusTimeoutMs)]))
        return status.slots.some((slot) => slot.lease !== null) ? one.ID : null
      } catch {
        return null
      } finally {
        await client.close()
      }
    }),
  )
  return new Set(leased.filter((id) => id !== null))
}

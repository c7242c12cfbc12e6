import { listJobAllocations } from '../../nomad/allocations.ts'
import { followEvents } from '../../nomad/event-stream.ts'
import type { NomadPool } from './nomad-pool.ts'

/**
 * Calls `onEvent` each time that it has got through to Nomad, and then for what happens to the pool's job, its allocations and its evaluations,
 * until `signal` aborts. Nodes are not followed: what becomes of them shows in their allocations, and to read them takes rights of its own.
 *
 * @throws {SlotpoolError} what will not pass by itself.
 */
export function followPoolEvents(
  { client, jobId }: Pick<NomadPool, 'client' | 'jobId'>,
  onEvent: () => void,
  signal: AbortSignal,
): Promise<void> {
  const since = async (either: AbortSignal): Promise<number> => {
    const { index } = await listJobAllocations(client, jobId, {}, {}, either)
    // Whoever looks now sees at least this point; from here on the stream tells.
    onEvent()
    return index
  }
  const topics = { Job: [jobId], Allocation: [jobId], Evaluation: [jobId] }
  return followEvents(client, { topics, since, onConnected: onEvent, onEvents: onEvent }, signal)
}

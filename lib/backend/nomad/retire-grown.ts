import { type AllocationStub, allocationIndex, allocationRun, listJobPorts, serverRuns } from '../../nomad/allocations.ts'
import type { Endpoint } from '../../wire/endpoint.ts'
import { retireServer } from '../retire-server.ts'
import { silence } from './answering.ts'
import { allocationEndpoint } from './containers.ts'
import type { NomadPool } from './nomad-pool.ts'

/** What may go of containers that live, and are all of one group. */
export interface Retired {
  /** How many stay: Nomad removes the highest indexes first. */
  kept: number
  /** Those above that said so, the highest first: they give no lease any more, and serve for nothing until they are removed. */
  ids: readonly string[]
}

/**
 * Has the containers that a growth made say that they may go, from the highest on to the first that may not: one that somebody leased a slot of, or that
 * has served and is silent now, since it may have leases. One that never served goes unasked. What ran before, and all below that, stays.
 */
export async function retireGrown(
  pool: NomadPool,
  live: readonly AllocationStub[],
  ranBefore: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<Retired> {
  const stays = Math.max(0, ...live.filter((one) => ranBefore.has(one.ID)).map((one) => allocationIndex(one) + 1))
  const grown = live.filter((one) => allocationIndex(one) >= stays).sort((a, b) => allocationIndex(b) - allocationIndex(a))
  const running = grown.filter(serverRuns)
  if (running.length === 0) return { kept: stays, ids: [] }
  const ports = await listJobPorts(pool.client, pool.jobId, signal)
  const token = await pool.token.ensure(signal)
  const endpoints = new Map(running.map((one) => [one.ID, allocationEndpoint(ports.get(one.ID))]))
  await noteAnswers(pool, running, endpoints, signal)
  const ids: string[] = []
  for (const one of running.filter((one) => pool.answered.has(allocationRun(one)))) {
    const endpoint = endpoints.get(one.ID)
    if (endpoint === undefined || !(await retireServer(endpoint, token, signal))) return { kept: allocationIndex(one) + 1, ids }
    ids.push(one.ID)
  }
  return { kept: stays, ids }
}

/** One that this process has not heard of yet may serve by now, and another process may know it. */
async function noteAnswers(
  pool: NomadPool,
  running: readonly AllocationStub[],
  endpoints: ReadonlyMap<string, Endpoint | undefined>,
  signal: AbortSignal,
): Promise<void> {
  await Promise.all(
    running.map(async (one) => {
      const endpoint = endpoints.get(one.ID)
      if (endpoint === undefined || pool.answered.has(allocationRun(one))) return
      if ((await silence(endpoint, signal)) === undefined) pool.answered.add(allocationRun(one))
    }),
  )
}

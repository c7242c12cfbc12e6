import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SlotpoolError } from '../../errors.ts'
import { allProcesses, type ProcessStat, processStat } from '../../sandbox/processes.ts'
import { terminateAll } from '../../sandbox/terminate.ts'
import { DockerEngine } from '../docker/engine.ts'
import { seenFromHere } from '../process-place.ts'
import type { DevAgentRecord } from './dev-agent-record.ts'

/** Nomad's label on the containers of its tasks. */
const allocationLabel = 'com.hashicorp.nomad.alloc_id'

/**
 * Ends what an agent that has gone left running: its plugins, which are of its session, and the tasks of the allocations in its data folder, whether
 * they are processes or Docker's containers.
 */
export async function endLeftOfAgent(agent: DevAgentRecord | undefined, dataFolder: string, env: NodeJS.ProcessEnv): Promise<void> {
  const allocations = await readdir(join(dataFolder, 'alloc')).catch(() => [])
  const session = agent && (await sessionOf(agent))
  await terminateAll(async () => {
    const pids = await allProcesses()
    const stats = await Promise.all(pids.map((pid) => processStat(pid)))
    const left = await Promise.all(
      stats.map(async (stat) => (await isPlugin(stat, session, agent)) || (await isOfAllocation(stat, allocations))),
    )
    return pids.filter((_, at) => left[at])
  })
  if (allocations.length > 0) await removeContainers(allocations, env)
}

/** The id of an agent's session; undefined where that may be somebody else's now: its machine was started anew, or its pid is another's. */
async function sessionOf({ pid, startTicks, place }: DevAgentRecord): Promise<number | undefined> {
  if (seenFromHere(place) !== 'looked for') return undefined
  const now = await processStat(pid)
  return now === undefined || now.startTicks === startTicks ? pid : undefined
}

/** A session has its id for as long as anybody is in it, and nobody came into it before the agent. Its plugins are Nomad, too. */
async function isPlugin(stat: ProcessStat | undefined, session: number | undefined, agent: DevAgentRecord | undefined): Promise<boolean> {
  if (!agent || session === undefined || !stat || stat.state === 'Z') return false
  if (stat.session !== session || stat.startTicks < agent.startTicks) return false
  return (await readFile(`/proc/${stat.pid}/comm`, 'utf8').catch(() => '')).trim() === 'nomad'
}

/** Nomad names the control groups of tasks that it runs itself by their allocations. */
async function isOfAllocation(stat: ProcessStat | undefined, allocations: readonly string[]): Promise<boolean> {
  if (allocations.length === 0 || !stat || stat.state === 'Z') return false
  const groups = await readFile(`/proc/${stat.pid}/cgroup`, 'utf8').catch(() => '')
  return allocations.some((allocation) => groups.includes(allocation))
}

async function removeContainers(allocations: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const engine = new DockerEngine(env)
  try {
    await engine.version()
    for (const allocation of allocations) {
      const filters = { label: [`${allocationLabel}=${allocation}`] }
      const found = await engine.call('list containers', engine.docker.listContainers({ all: true, filters }))
      for (const { Id } of found) await engine.call('remove a container', engine.docker.getContainer(Id).remove({ force: true, v: true }))
    }
  } catch (error) {
    // Without an engine there are none.
    if (!(error instanceof SlotpoolError && error.code === 'DOCKER_UNAVAILABLE')) throw error
  } finally {
    engine.close()
  }
}

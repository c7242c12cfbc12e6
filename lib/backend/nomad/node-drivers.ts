import { SlotpoolError } from '../../errors.ts'
import { nomadDriverOf } from '../../nomad/job-spec.ts'
import { lackOfDriver, listNodes, type NodeStub, runsDriver } from '../../nomad/nodes.ts'
import type { NomadPool } from './nomad-pool.ts'

const shownNodes = 5

/**
 * Refuses to make a pool for whose driver no node has what it takes of Nomad. Docker is what Nomad's own words are enough for; `raw_exec` is off unless
 * an operator turned it on. A token that may not see nodes is left to Nomad's scheduler.
 *
 * @throws {SlotpoolError} `NOMAD_PLACEMENT_FAILED` naming each node and what it lacks.
 */
export async function checkDrivers(pool: NomadPool, signal: AbortSignal): Promise<void> {
  const { driver } = pool.job
  if (driver !== 'singularity') return
  const nodes = await nodesUnlessForbidden(pool, signal)
  const name = nomadDriverOf(driver)
  // Without any node there is nothing to be said that Nomad would not say.
  if (nodes.length === 0 || nodes.some((node) => runsDriver(node, name))) return
  const lacking = lackingOf(nodes, name)
  throw new SlotpoolError(
    'NOMAD_PLACEMENT_FAILED',
    `Nomad has no node for job ${pool.jobId}, whose driver ${driver} takes the driver ${name}: ${shown(lacking)}; ` +
      `expected plugin "${name}" { config { enabled = true } } in the configuration of a client`,
    {
      details: { jobId: pool.jobId, nodes: lacking },
      // What an operator has to turn on does not come by itself, a node that is down or drained may.
      retryable: nodes.some((node) => node.Drivers?.[name]?.Healthy === true),
    },
  )
}

/** The same failure, with the nodes that lack the driver where Nomad only counts them. */
export async function withNodes(pool: NomadPool, problem: SlotpoolError, signal: AbortSignal): Promise<SlotpoolError> {
  const { code, message, retryable, details, cause } = problem
  if (!Object.hasOwn((details.constraints as object | undefined) ?? {}, 'missing drivers')) return problem
  const name = nomadDriverOf(pool.job.driver)
  const nodes = await nodesUnlessForbidden(pool, signal)
  const lacking = lackingOf(
    nodes.filter((node) => !runsDriver(node, name)),
    name,
  )
  if (lacking.length === 0) return problem
  return new SlotpoolError(code, `${message} (${shown(lacking)})`, { cause, retryable, details: { ...details, nodes: lacking } })
}

interface Lacking {
  node: string
  lacks: string
}

function lackingOf(nodes: readonly NodeStub[], name: string): Lacking[] {
  return nodes.map((node) => ({ node: node.Name, lacks: lackOfDriver(node, name) }))
}

function shown(lacking: readonly Lacking[]): string {
  const words = lacking.slice(0, shownNodes).map(({ node, lacks }) => `${node} ${lacks}`)
  return `${words.join('; ')}${lacking.length > shownNodes ? `; and ${lacking.length - shownNodes} more` : ''}`
}

async function nodesUnlessForbidden(pool: NomadPool, signal: AbortSignal): Promise<NodeStub[]> {
  try {
    return (await listNodes(pool.client, {}, signal)).value
  } catch (error) {
    if (error instanceof SlotpoolError && error.code === 'NOMAD_FORBIDDEN') return []
    throw error
  }
}

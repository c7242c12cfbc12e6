import { z } from 'zod'
import type { NomadConnection } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'
import { agentIsHealthy, agentVersion } from '../../nomad/agent.ts'
import { NomadClient } from '../../nomad/client.ts'
import { lackOfDriver, listNodes, type NodeStub, runsDriver } from '../../nomad/nodes.ts'

/** An agent on this machine or in its network answers within milliseconds. */
const answerWithinMs = 3_000

/** What the agent at the configured address says of itself. */
export interface AgentReport {
  /** `none`: nothing answers; `other`: something that is no well agent; `forbidden`: it wants a token. */
  state: 'well' | 'none' | 'other' | 'forbidden'
  version: string | null
  /** One line. */
  detail: string
  /** Whether a task of that driver can be placed; null when that was not told. */
  driverIsThere: boolean | null
  /** A node whose driver is well, but where nothing may be placed. */
  ineligibleNode?: string
  /** What went wrong, where something did. */
  error?: SlotpoolError
}

/** Asks an agent how it is, which version it has and whether it can run containers by Nomad's `driver`. @throws what made `signal` abort. */
export async function askAgent(connection: NomadConnection, driver: string, signal: AbortSignal): Promise<AgentReport> {
  let client: NomadClient | undefined
  try {
    client = new NomadClient(connection)
    await agentIsHealthy(client, signal, answerWithinMs)
    const version = await unlessForbidden(agentVersion(client, signal))
    const nodes = await unlessForbidden(listNodes(client, {}, signal))
    if (nodes === null) return await kept(client, connection, driver, version, signal)
    const answers = `agent${version === null ? '' : ` ${version}`} answers at ${connection.address}`
    return { state: 'well', version, ...driverOn(answers, driver, nodes.value) }
  } catch (error) {
    if (signal.aborted) throw error
    const ours = SlotpoolError.from(error)
    const state = { NOMAD_UNAVAILABLE: 'none', NOMAD_FORBIDDEN: 'forbidden' }[ours.code as string] as AgentReport['state'] | undefined
    const why = ours.cause instanceof Error ? ` (${ours.cause.message})` : ''
    const detail = state === 'none' ? `no agent answers at ${connection.address}${why}` : ours.message
    return { state: state ?? 'other', version: null, detail, driverIsThere: null, error: ours }
  } finally {
    client?.close()
  }
}

/** The report of an agent that does not show its nodes to this token. A good token need not see them to run a pool. */
async function kept(
  client: NomadClient,
  connection: NomadConnection,
  driver: string,
  version: string | null,
  signal: AbortSignal,
): Promise<AgentReport> {
  const request = { path: '/v1/acl/token/self', schema: z.object({}), purpose: 'recognise the token', signal }
  const known = connection.token !== undefined && (await unlessForbidden(client.request(request))) !== null
  const answers = `an agent answers at ${connection.address}`
  const detail = known
    ? `${answers}; NOMAD_TOKEN has no node:read, so its ${driver} driver was not looked at`
    : `${answers}, but ${connection.token === undefined ? 'wants a NOMAD_TOKEN' : 'does not know this NOMAD_TOKEN'}`
  return { state: known ? 'well' : 'forbidden', version, detail, driverIsThere: null }
}

async function unlessForbidden<T>(request: Promise<T>): Promise<T | null> {
  try {
    return await request
  } catch (error) {
    if (error instanceof SlotpoolError && error.code === 'NOMAD_FORBIDDEN') return null
    throw error
  }
}

function driverOn(
  answers: string,
  driver: string,
  nodes: readonly NodeStub[],
): Pick<AgentReport, 'detail' | 'driverIsThere' | 'ineligibleNode'> {
  const able = nodes.filter((node) => runsDriver(node, driver)).length
  if (able > 0) return { detail: `${answers}, ${driver} driver healthy on ${able} of ${nodes.length} nodes`, driverIsThere: true }
  if (nodes.length === 0) return { detail: `${answers}, but it has no node to run containers on`, driverIsThere: false }
  const why = nodes.slice(0, 3).map((node) => `${node.Name}: ${whyNot(node, driver)}`)
  const closed = nodes.find((node) => node.Status === 'ready' && node.Drivers?.[driver]?.Healthy === true)
  return {
    detail: `${answers}, but no node runs its ${driver} driver (${why.join('; ')}${nodes.length > 3 ? '; …' : ''})`,
    driverIsThere: false,
    ...(closed === undefined ? {} : { ineligibleNode: closed.ID }),
  }
}

function whyNot(node: NodeStub, name: string): string {
  const driver = node.Drivers?.[name]
  if (name !== 'docker' || node.Status !== 'ready' || driver === undefined || driver.Healthy) return lackOfDriver(node, name)
  return driver.HealthDescription || (driver.Detected ? 'docker is unhealthy' : 'found no Docker')
}

import { z } from 'zod'
import type { BlockingParameters } from './blocking-query.ts'
import { blockingTimeoutMs } from './blocking-query.ts'
import type { Indexed, NomadClient } from './client.ts'

const driver = z.object({ Detected: z.boolean(), Healthy: z.boolean(), HealthDescription: z.string() })

const nodeStub = z.object({
  ID: z.string(),
  Name: z.string(),
  Status: z.string(),
  SchedulingEligibility: z.string(),
  Drivers: z.record(z.string(), driver).nullable(),
})

/** A machine of the cluster, with what it says of its drivers. */
export type NodeStub = z.infer<typeof nodeStub>

/** The machines of the cluster. Needs `node:read` where ACLs are on. */
export async function listNodes(
  client: NomadClient,
  parameters: BlockingParameters = {},
  signal?: AbortSignal,
): Promise<Indexed<NodeStub[]>> {
  return client.request({
    path: '/v1/nodes',
    query: { ...parameters },
    schema: z.array(nodeStub),
    purpose: 'list its nodes',
    signal,
    ...(parameters.index === undefined ? {} : { timeoutMs: blockingTimeoutMs }),
  })
}

/** Whether a task of this driver can be placed on the node, as the node itself says. */
export function runsDriver(node: NodeStub, name: string): boolean {
  return node.Status === 'ready' && node.SchedulingEligibility === 'eligible' && node.Drivers?.[name]?.Healthy === true
}

/** Why {@link runsDriver} says no, to be read after the node's name. */
export function lackOfDriver(node: NodeStub, name: string): string {
  if (node.Status !== 'ready') return `is ${node.Status}`
  const driver = node.Drivers?.[name]
  if (driver === undefined || !driver.Detected) {
    return name === 'raw_exec' ? 'has no raw_exec driver: its agent does not enable that plugin' : `has no ${name} driver`
  }
  if (!driver.Healthy) return `has an unhealthy ${name} driver: ${driver.HealthDescription || 'no reason given'}`
  return `is ${node.SchedulingEligibility}`
}

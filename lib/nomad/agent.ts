import { z } from 'zod'
import type { NomadClient } from './client.ts'

const part = z.object({ ok: z.boolean(), message: z.string() })
const agentHealth = z.object({ client: part.optional(), server: part.optional() })

/** What an agent says of itself; a part it does not run is absent. */
export type AgentHealth = z.infer<typeof agentHealth>

const agentSelf = z.object({
  config: z.object({ Version: z.object({ Version: z.string(), VersionPrerelease: z.string().optional() }) }),
})

/** Whether the agent's server and client parts are well. Needs no token. */
export async function agentIsHealthy(client: NomadClient, signal?: AbortSignal, timeoutMs?: number): Promise<AgentHealth> {
  const { value } = await client.request({
    path: '/v1/agent/health',
    schema: agentHealth,
    purpose: 'say how it is',
    signal,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  })
  return value
}

/** The agent's version, such as `1.10.2` or `2.0.6-dev`. Needs `agent:read` where ACLs are on. */
export async function agentVersion(client: NomadClient, signal?: AbortSignal): Promise<string> {
  const { value } = await client.request({ path: '/v1/agent/self', schema: agentSelf, purpose: 'tell its version', signal })
  const { Version: version, VersionPrerelease: prerelease } = value.config.Version
  return prerelease ? `${version}-${prerelease}` : version
}

import { LinkedAbortController } from '../client/linked-abort-controller.ts'
import { SandboxClient } from '../client/sandbox-client.ts'
import type { Endpoint } from '../wire/endpoint.ts'

/** What one container may take to say whether it can go. */
const retireTimeoutMs = 2_000

/**
 * Whether a sandbox server has no lease and will never give one again: it is asked and settled in one, since others have known of it from its first
 * answer on. One that does not say so is left alone.
 */
export async function retireServer(endpoint: Endpoint, token: string, signal?: AbortSignal): Promise<boolean> {
  const late = AbortSignal.timeout(retireTimeoutMs)
  using over = new LinkedAbortController(late, ...(signal ? [signal] : []))
  const client = new SandboxClient(endpoint, token)
  try {
    return (await client.retire(over.signal)).retired
  } catch {
    return false
  } finally {
    await client.close()
  }
}

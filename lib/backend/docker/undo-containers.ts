import { SandboxClient } from '../../client/sandbox-client.ts'
import type { Endpoint } from '../../wire/endpoint.ts'
import type { DockerEngine } from './engine.ts'
import { listPoolContainers } from './pool-containers.ts'
import { removeContainer } from './remove-container.ts'

const statusTimeoutMs = 2_000

/**
 * Removes containers that a failed or aborted call had already made. One in which another process has leased a slot meanwhile stays: a
 * pool is shared, and its tasks have done nothing wrong.
 */
export async function undoContainers(engine: DockerEngine, pool: string, token: string, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return
  const found = await listPoolContainers(engine, pool)
  await Promise.all(
    found
      .filter((one) => ids.includes(one.id))
      .map(async (one) => {
        if (one.endpoint === undefined || !(await isLeased(one.endpoint, token))) await removeContainer(engine, one.id)
      }),
  )
}

async function isLeased(endpoint: Endpoint, token: string): Promise<boolean> {
  const client = new SandboxClient(endpoint, token)
  try {
    const { slots } = await client.status(AbortSignal.timeout(statusTimeoutMs))
    return slots.some((slot) => slot.lease !== null)
  } catch {
    return false
  } finally {
    await client.close()
  }
}

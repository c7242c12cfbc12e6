import { retireServer } from '../retire-server.ts'
import type { DockerEngine } from './engine.ts'
import { listPoolContainers } from './pool-containers.ts'
import { removeContainer } from './remove-container.ts'

/**
 * Removes containers that a failed or aborted call had already made, and that had answered. One in which another process has leased a slot meanwhile
 * stays, and so does one that is silent now, which may have leases: a pool is shared, and its tasks have done nothing wrong. What nobody needs then is
 * sent away like any other, and ends by itself when nobody uses it.
 */
export async function undoContainers(engine: DockerEngine, pool: string, token: string, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return
  const found = await listPoolContainers(engine, pool)
  await Promise.all(
    found
      .filter((one) => ids.includes(one.id))
      .map(async (one) => {
        if (one.endpoint === undefined || (await retireServer(one.endpoint, token))) await removeContainer(engine, one.id)
      }),
  )
}

import { poolLabel } from './container-labels.ts'
import type { DockerEngine } from './engine.ts'

/**
 * Removes the volumes of pools, or of one pool, that no container has any more: it was removed by hand, without them. One that is being made has
 * its container from the first moment on.
 */
export async function removeLostVolumes(engine: DockerEngine, pool?: string): Promise<void> {
  const label = pool === undefined ? poolLabel : `${poolLabel}=${pool}`
  const filters = JSON.stringify({ dangling: ['true'], label: [label] })
  const { Volumes: volumes } = await engine.call('list volumes', engine.docker.listVolumes({ filters }))
  // Somebody else removes them, too; the engine does not let go of one that is in use.
  await Promise.all(
    (volumes ?? []).map(({ Name }) =>
      engine.docker
        .getVolume(Name)
        .remove()
        .catch(() => {}),
    ),
  )
}

import type { DockerEngine } from './engine.ts'
import type { PoolContainer } from './pool-containers.ts'

/** From creating a container to starting it takes a fraction of a second; whoever made one that waits for so long has died. */
export const halfMadeAfterMs = 15_000
/** The same where its tools may have to be copied first, all of them to a slow disk: longer than anybody waits for that. */
export const halfMadeWithToolsAfterMs = 300_000

/** The containers that nobody will start any more. Told by the engine's own clock, which wrote when they were created. */
export async function findHalfMade(engine: DockerEngine, containers: readonly PoolContainer[]): Promise<PoolContainer[]> {
  const created = containers.filter((one) => one.state === 'created')
  if (created.length === 0) return []
  const { SystemTime } = (await engine.call('tell its clock', engine.docker.info())) as { SystemTime: string }
  const nowMs = Date.parse(SystemTime)
  return created.filter((one) => nowMs - one.createdAtMs > (one.shape.toolsImage ? halfMadeWithToolsAfterMs : halfMadeAfterMs))
}

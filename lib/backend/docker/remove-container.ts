import { SlotpoolError } from '../../errors.ts'
import { Backoff } from './backoff.ts'
import type { DockerEngine } from './engine.ts'
import { engineStatus } from './engine-error.ts'

/** The engine takes down mounts and volumes in this time, or something holds them that will not let go. */
const removalTimeoutMs = 60_000

/** Ends a container whatever it does, removes it with its volumes, and resolves when it is gone. That it is gone already is fine. */
export async function removeContainer(engine: DockerEngine, id: string, signal?: AbortSignal): Promise<void> {
  const container = engine.docker.getContainer(id)
  const deadline = performance.now() + removalTimeoutMs
  const backoff = new Backoff()
  for (;;) {
    try {
      await engine.call(
        `remove container ${id.slice(0, 12)}`,
        container.remove({ force: true, v: true, ...(signal ? { abortSignal: signal } : {}) }),
      )
      return
    } catch (error) {
      const status = engineStatus(error)
      if (status === 404) return
      // 409: its removal is under way, begun by another process or by the engine itself. It is waited for, by asking again.
      if (status !== 409) throw error
      if (performance.now() > deadline) {
        throw new SlotpoolError('DOCKER_REQUEST_FAILED', `container ${id} is not gone ${removalTimeoutMs} ms after its removal began`, {
          cause: error,
          details: { container: id },
        })
      }
    }
    await backoff.pause(signal)
  }
}

import type { Container } from '../backend/backend.ts'
import { LinkedAbortController } from '../client/linked-abort-controller.ts'
import { SlotpoolError } from '../errors.ts'
import type { Containers } from './containers.ts'

/** A container in which nobody has a slot ends at once; an engine that hangs never tells that it did. */
const withinMs = 60_000

/**
 * Removes a container, and gives it up for now after a minute: whoever looks after the pool has more to do.
 *
 * @throws {SlotpoolError} `CONTAINER_FAILED` when it has not ended by then; the backend's own errors.
 */
export async function removeInTime(containers: Containers, container: Container, signal: AbortSignal): Promise<void> {
  using over = new LinkedAbortController(signal)
  let refuse: (error: SlotpoolError) => void = () => {}
  const late = new Promise<never>((_, reject) => {
    refuse = reject
  })
  const stop = containers.clock.after(withinMs, () => {
    refuse(new SlotpoolError('CONTAINER_FAILED', `container ${container.id} did not end within ${withinMs / 1_000} s`))
    over.abort()
  })
  const removing = containers.remove(container, over.signal)
  // Of what was given up nobody wants to know how it ended.
  removing.catch(() => {})
  try {
    await Promise.race([removing, late])
  } finally {
    stop()
  }
}

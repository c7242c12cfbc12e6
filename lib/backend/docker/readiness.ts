import { setTimeout as delay } from 'node:timers/promises'
import { SandboxClient } from '../../client/sandbox-client.ts'
import { SlotpoolError } from '../../errors.ts'
import type { Endpoint } from '../../wire/endpoint.ts'
import { throwIfCancelled } from '../cancelled.ts'
import { pauseBeforeNextLook } from '../look-pause.ts'

/** A sandbox server that is up answers its health in a millisecond or two; a busy machine is given time. */
const probeTimeoutMs = 2_000

/** Whether the sandbox server answers its health, and if not, why. One that answers with another protocol does answer. */
export async function probe(endpoint: Endpoint, signal?: AbortSignal): Promise<{ answers: boolean; reason?: string }> {
  // Health is told without a token.
  const client = new SandboxClient(endpoint, '')
  const bound = AbortSignal.timeout(probeTimeoutMs)
  try {
    await client.health(signal ? AbortSignal.any([signal, bound]) : bound)
    return { answers: true }
  } catch (error) {
    throwIfCancelled(signal)
    if (error instanceof SlotpoolError && error.code === 'PROTOCOL_MISMATCH') return { answers: true }
    return { answers: false, reason: `its sandbox server does not answer yet: ${(error as Error).message}` }
  } finally {
    await client.close()
  }
}

/** Resolves when the sandbox server answers. @throws {SlotpoolError} `CANCELLED` when `signal` aborts. */
export async function waitUntilItAnswers(endpoint: Endpoint, signal: AbortSignal): Promise<void> {
  const beganAt = performance.now()
  while (!(await probe(endpoint, signal)).answers) {
    await delay(pauseBeforeNextLook(performance.now() - beganAt), undefined, { signal }).catch(() => throwIfCancelled(signal))
  }
}

import { setTimeout as delay } from 'node:timers/promises'
import { SandboxClient } from '../../client/sandbox-client.ts'
import { SlotpoolError } from '../../errors.ts'
import type { PoolJob } from '../../nomad/job-spec.ts'
import { isRegistryImage } from '../../nomad/singularity-task.ts'
import type { Endpoint } from '../../wire/endpoint.ts'
import { pauseBeforeNextLook } from '../look-pause.ts'

/** A sandbox server that is up answers its health in a millisecond or two; a busy node is given time. */
const probeTimeoutMs = 2_000

/** A container that runs for so long without an answer is not starting: what runs in it is something else, or it cannot be reached. */
const startWithinMs = 30_000

/** A node that makes a SIF of an image from a registry shows its task as running meanwhile, and may be on a slow line. */
const pullWithinMs = 30 * 60_000

/** How long what runs there may take to answer. */
export function patienceWith({ driver, image }: Pick<PoolJob, 'driver' | 'image'>): number {
  return driver === 'singularity' && isRegistryImage(image) ? pullWithinMs : startWithinMs
}

/** Why the sandbox server does not answer its health; undefined when it does. One that speaks another protocol does answer. */
export async function silence(endpoint: Endpoint, signal?: AbortSignal): Promise<string | undefined> {
  // Health is told without a token.
  const client = new SandboxClient(endpoint, '')
  const bound = AbortSignal.timeout(probeTimeoutMs)
  try {
    await client.health(signal ? AbortSignal.any([signal, bound]) : bound)
    return undefined
  } catch (error) {
    if (signal?.aborted) throw error
    if (error instanceof SlotpoolError && error.code === 'PROTOCOL_MISMATCH') return undefined
    return bound.aborted ? `its sandbox server did not answer within ${probeTimeoutMs} ms` : (error as Error).message
  } finally {
    await client.close()
  }
}

/**
 * Resolves when the sandbox server answers.
 *
 * @throws {SlotpoolError} `SERVER_UNREACHABLE` when it did not for `withinMs`; `CANCELLED` when `signal` aborts.
 */
export async function waitUntilItAnswers(name: string, endpoint: Endpoint, withinMs: number, signal: AbortSignal): Promise<void> {
  const beganAt = performance.now()
  for (;;) {
    const reason = await silence(endpoint, signal)
    if (reason === undefined) return
    const elapsedMs = performance.now() - beganAt
    if (elapsedMs > withinMs) {
      throw new SlotpoolError(
        'SERVER_UNREACHABLE',
        `the container ${name} runs for ${withinMs / 1000} s and its sandbox server is silent at ${endpoint.url}: ${reason}; ` +
          'expected an image of slotpool, and a way from here to the ports of the node',
        { details: { container: name, url: endpoint.url } },
      )
    }
    await delay(pauseBeforeNextLook(elapsedMs), undefined, { signal }).catch(() => undefined)
  }
}

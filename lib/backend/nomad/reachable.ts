import type { NomadConnection } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'
import { agentIsHealthy } from '../../nomad/agent.ts'
import { NomadClient } from '../../nomad/client.ts'

/** An agent on this machine or in its network answers within milliseconds; a caller waits this long for one that is not there. */
const answerWithinMs = 1_500

/**
 * Whether a Nomad agent answers at the address, well or not. False when nothing answers, when it is something else, and when the
 * connection's certificates do not fit.
 *
 * @throws {SlotpoolError} `CONFIG_INVALID` when a certificate or key cannot be read, `CANCELLED` on abort.
 */
export async function nomadAnswers(connection: NomadConnection, signal?: AbortSignal): Promise<boolean> {
  return (await whyNoAgent(connection, signal)) === undefined
}

/** The same, with why none answers, if none does; undefined when one does. @throws {SlotpoolError} as {@link nomadAnswers}. */
export async function whyNoAgent(
  connection: NomadConnection,
  signal?: AbortSignal,
  withinMs: number = answerWithinMs,
): Promise<SlotpoolError | undefined> {
  const client = new NomadClient(connection)
  try {
    await agentIsHealthy(client, signal, withinMs)
    return undefined
  } catch (error) {
    if (!(error instanceof SlotpoolError) || error.code === 'CANCELLED') throw error
    // A sick agent answers 500, a busy one 429: it is there all the same, and what ails it comes up when it is used.
    const { status } = error.details
    const isThere = typeof status === 'number' && (status >= 500 || status === 429 || status === 403)
    return isThere ? undefined : error
  } finally {
    client.close()
  }
}

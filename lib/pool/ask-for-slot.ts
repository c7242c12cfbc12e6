import type { SandboxClient } from '../client/sandbox-client.ts'
import { SlotpoolError } from '../errors.ts'
import type { LeaseRequest, LeaseResponse } from '../wire/lease.ts'
import { turnOrAbort } from './waiting-line.ts'

/** How long an answer on its way is waited for when nobody wants it any more. A server whose asker went away before it answers gives none. */
const lateAnswerMs = 1_000
const releaseTimeoutMs = 5_000

/**
 * Asks one server for a slot. Who gives up is told at once; a lease that is on its way to it then is given back, unless it was there
 * before, or somebody else shares it. `later` is handed that work.
 */
export async function askForSlot(
  client: SandboxClient,
  request: LeaseRequest,
  signal: AbortSignal,
  later: (work: Promise<void>) => void,
): Promise<LeaseResponse> {
  if (signal.aborted) throw new SlotpoolError('CANCELLED', 'gave up waiting for a slot', { cause: signal.reason })
  const tooLate = new AbortController()
  const asking = client.lease(request, tooLate.signal)
  try {
    await turnOrAbort(
      asking.then(() => {}),
      signal,
    )
  } catch (error) {
    if (signal.aborted) later(giveBack(client, asking, tooLate))
    throw error
  }
  return asking
}

async function giveBack(client: SandboxClient, asking: Promise<LeaseResponse>, tooLate: AbortController): Promise<void> {
  const timer = setTimeout(() => tooLate.abort(), lateAnswerMs)
  try {
    const { lease, created } = await asking
    if (created) await client.releaseUnshared(lease.leaseId, AbortSignal.timeout(releaseTimeoutMs))
  } catch {
    // There was no slot, or it cannot be given back: then it ends with its lifetime.
  } finally {
    clearTimeout(timer)
  }
}

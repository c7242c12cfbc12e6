import type { SandboxClient } from '../client/sandbox-client.ts'
import { SlotpoolError } from '../errors.ts'
import type { HomeAnswer, HomeLeaseRequest } from '../wire/roster.ts'
import { askBriefly } from './silent-container.ts'
import { turnOrAbort } from './waiting-line.ts'

/** A slot that is ready is had in far less. One that is being made ready may take longer; a server that is well says meanwhile that it is. */
const patienceMs = 1_000
const signOfLifeMs = 2_000

/** How long an answer on its way is waited for when nobody wants it any more. A server whose asker went away before it answers gives none. */
const lateAnswerMs = 1_000
const releaseTimeoutMs = 5_000

/**
 * Asks one server for a slot. Who gives up is told at once; a lease that is on its way to it then is given back, unless it was there
 * before, or somebody else shares it. `later` is handed that work.
 *
 * @throws {SlotpoolError} `SERVER_UNREACHABLE` also when the server gives no sign of life.
 */
export async function askForSlot(
  client: SandboxClient,
  request: HomeLeaseRequest,
  signal: AbortSignal,
  later: (work: Promise<void>) => void,
): Promise<HomeAnswer> {
  if (signal.aborted) throw new SlotpoolError('CANCELLED', 'gave up waiting for a slot', { cause: signal.reason })
  const tooLate = new AbortController()
  const asking = client.leaseByRoster(request, tooLate.signal)
  const watch = new SignsOfLife(client)
  let answered = false
  const answer = asking.finally(() => {
    answered = true
  })
  try {
    await turnOrAbort(Promise.race([answer.then(() => {}), watch.lost]), signal)
  } catch (error) {
    if (!answered) later(giveBack(client, asking, tooLate))
    throw error
  } finally {
    watch.stop()
  }
  return asking
}

/** Looks whether a server that takes its time is there at all. */
class SignsOfLife {
  /** Rejects when it is not. */
  readonly lost: Promise<never>
  readonly #client: SandboxClient
  readonly #over = new AbortController()
  #timer: NodeJS.Timeout | undefined

  constructor(client: SandboxClient) {
    this.#client = client
    this.lost = new Promise((_, reject) => this.#lookSoon(reject))
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#over.abort()
  }

  #lookSoon(reject: (error: unknown) => void): void {
    this.#timer = setTimeout(() => {
      askBriefly((signal) => this.#client.roster(signal), this.#over.signal, signOfLifeMs).then(() => this.#lookSoon(reject), reject)
    }, patienceMs)
  }
}

async function giveBack(client: SandboxClient, asking: Promise<HomeAnswer>, tooLate: AbortController): Promise<void> {
  const timer = setTimeout(() => tooLate.abort(), lateAnswerMs)
  try {
    const { lease, created } = await asking
    if (lease && created) await client.releaseUnshared(lease.leaseId, AbortSignal.timeout(releaseTimeoutMs))
  } catch {
    // There was no slot, or it cannot be given back: then it ends with its lifetime.
  } finally {
    clearTimeout(timer)
  }
}

import type { SandboxClient } from '../client/sandbox-client.ts'
import { SlotpoolError } from '../errors.ts'
import type { Clock } from '../sandbox/clock.ts'
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
  clock: Clock,
): Promise<HomeAnswer> {
  if (signal.aborted) throw new SlotpoolError('CANCELLED', 'gave up waiting for a slot', { cause: signal.reason })
  const tooLate = new AbortController()
  const asking = client.leaseByRoster(request, tooLate.signal)
  const watch = new SignsOfLife(client, clock)
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
  readonly #clock: Clock
  readonly #over = new AbortController()
  #stop: () => void = () => {}

  constructor(client: SandboxClient, clock: Clock) {
    this.#client = client
    this.#clock = clock
    this.lost = new Promise((_, reject) => this.#lookSoon(reject))
  }

  stop(): void {
    this.#stop()
    // Without a reason one is made, an error with its stack: some 0.1 ms of each lease.
    this.#over.abort('over')
  }

  #lookSoon(reject: (error: unknown) => void): void {
    this.#stop = this.#clock.after(patienceMs, () => {
      const asked = askBriefly((signal) => this.#client.roster(signal), this.#over.signal, this.#clock, signOfLifeMs)
      asked.then(() => this.#lookSoon(reject), reject)
    })
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

import { setTimeout as delay } from 'node:timers/promises'
import { SlotpoolError } from '../errors.ts'
import { pauseAfterLoss } from '../reconnect.ts'
import type { Indexed } from './client.ts'

/**
 * How long Nomad holds a query in which nothing changes. It adds up to a sixteenth, so that clients do not wake together. Short, because a query
 * that is given up keeps its connection at Nomad until this is over, and counts against the 100 that an address may have (seen with Nomad 2.0).
 */
const waitMs = 2_000

/** No byte for so long, and the connection counts as lost: Nomad's own wait, its sixteenth, and room for a slow network. */
export const blockingTimeoutMs = waitMs + waitMs / 16 + 10_000

const defaultFirstPauseMs = 100

/** So many failures in a row, about 5 s of an agent that is gone, and the failure is passed on. */
const maxFailures = 7

/** The query parameters of one round. Without an index Nomad answers at once. */
export interface BlockingParameters {
  index?: number
  wait?: string
}

export interface FollowOptions {
  /** The pause after a first failure, in milliseconds. Default 100. */
  firstPauseMs?: number
}

/**
 * Asks again each time that Nomad has something newer, and hands each answer to `onValue`. Returns when `signal` is aborted; its abort
 * is the normal end. Failures that may pass are retried with a growing pause.
 *
 * @throws whatever `onValue` throws, a failure that will not pass, or the last of {@link maxFailures} in a row.
 */
export async function followQuery<T>(
  query: (parameters: BlockingParameters) => Promise<Indexed<T>>,
  onValue: (value: T) => void,
  signal: AbortSignal,
  options: FollowOptions = {},
): Promise<void> {
  let index = 0
  for (let failures = 0; !signal.aborted; ) {
    let answer: Indexed<T>
    try {
      answer = await query(index === 0 ? {} : { index, wait: `${waitMs}ms` })
    } catch (error) {
      if (signal.aborted) return
      failures += 1
      if (!(error instanceof SlotpoolError && error.retryable) || failures >= maxFailures) throw error
      // The agent that comes back may be another one, with another history.
      index = 0
      // Rejects on abort, which ends the loop.
      await delay(pauseAfterLoss(failures - 1, options.firstPauseMs ?? defaultFirstPauseMs), undefined, { signal }).catch(() => undefined)
      continue
    }
    if (signal.aborted) return
    failures = 0
    const unchanged = index > 0 && answer.index === index
    // An index that went back is the history of a server that lost its own; 0 would not block at all.
    index = answer.index < index ? 0 : Math.max(1, answer.index)
    if (!unchanged) onValue(answer.value)
  }
}

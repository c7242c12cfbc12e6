import { type FailureKind, failureKinds } from '../failure.ts'
import type { RemovalReason } from './scaler.ts'

/** What a pool did since it was opened in this process: counts that only grow, and `now`, how things are. */
export interface PoolMetrics {
  /** Commands, by how they ended: `ok`, or the kind of their failure. */
  commands: Record<'ok' | FailureKind, number>
  leases: {
    /** Had, the same one again included. */
    had: number
    /** Not had, by the kind of the failure. */
    failed: Record<FailureKind, number>
    /** Given back by this process. */
    released: number
    /** Found to be gone while this process held them. */
    lost: number
  }
  containers: {
    /** Growths that ended well, and those that did not. */
    grown: number
    growthsFailed: number
    /** Removed by this process, by why. */
    removed: Record<RemovalReason, number>
  }
  now: {
    /** Slots that this process holds. */
    held: number
    /** Callers in line for a slot in this process. */
    waiting: number
  }
}

const zeros = <K extends string>(names: readonly K[]): Record<K, number> =>
  Object.fromEntries(names.map((name) => [name, 0])) as Record<K, number>

/** The counts of one pool. */
export class Counters {
  readonly commands = zeros(['ok', ...failureKinds])
  readonly leasesFailed = zeros(failureKinds)
  readonly removed = zeros(['idle', 'worn', 'silent', 'changed'])
  leasesHad = 0
  leasesReleased = 0
  leasesLost = 0
  grown = 0
  growthsFailed = 0

  /** A copy that stays as it is. */
  snapshot(now: PoolMetrics['now']): PoolMetrics {
    return {
      commands: { ...this.commands },
      leases: { had: this.leasesHad, failed: { ...this.leasesFailed }, released: this.leasesReleased, lost: this.leasesLost },
      containers: { grown: this.grown, growthsFailed: this.growthsFailed, removed: { ...this.removed } },
      now,
    }
  }
}

/**
 * What a command that did not succeed failed of. Whoever scores commands takes `command`, `timeout` and `limit` for what they are, and leaves out
 * `lost` and `unknown`: those say nothing of the command.
 *
 * - `command`: of itself: its exit code or its own signal, or it was refused for what it asked.
 * - `timeout`: its time was up.
 * - `limit`: a limit of its slot was reached while it ran.
 * - `cancelled`: somebody ended it, or gave up waiting.
 * - `lost`: slotpool could not run it, or lost its slot.
 * - `unknown`: it was begun where nobody can be asked any more.
 */
export const failureKinds = ['command', 'timeout', 'limit', 'cancelled', 'lost', 'unknown'] as const
export type FailureKind = (typeof failureKinds)[number]

/** What something failed of, and whether the same may succeed later without anything being changed by hand. */
export interface Failure {
  kind: FailureKind
  retryable: boolean
}

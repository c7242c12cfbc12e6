const shortestMs = 25
const longestMs = 500

/**
 * How long to wait, in milliseconds, before the next look at a server that has been starting for `elapsedMs`: a twentieth of that, since
 * whoever waits for it does not feel a delay so much smaller than what it took.
 */
export function pauseBeforeNextLook(elapsedMs: number): number {
  return Math.min(longestMs, Math.max(shortestMs, elapsedMs / 20))
}

/** What the lease table knows of time, so that a test can move it. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Calls `callback` once after `delayMs`, unless the returned function is called first. It keeps no process alive meanwhile, unless it is to. */
  after(delayMs: number, callback: () => void, keepsAlive?: boolean): () => void
}

/** The machine's own, but that nobody puts it forward or back: no lease ends for that. Its timers keep no process alive. */
export const systemClock: Clock = {
  now: () => Math.floor(performance.timeOrigin + performance.now()),
  after: (delayMs, callback, keepsAlive = false) => {
    const timer = setTimeout(callback, delayMs)
    if (!keepsAlive) timer.unref()
    return () => clearTimeout(timer)
  },
}

/** How long a program in a slot may keep the server waiting. */
export interface PatienceLimits {
  /** Without a sign of life: a byte that it takes or gives, or its end. */
  stallMs: number
  /** All waits of one request together. A slow reader or sender of the request itself does not count. */
  totalMs: number
  /** When the request fails, to remove what it had begun and end by itself. Then it is ended. */
  graceMs: number
}

export const defaultPatience: PatienceLimits = { stallMs: 60_000, totalMs: 1_800_000, graceMs: 10_000 }

/** Counts the time that a program in a slot keeps the server waiting, and says once when that is enough. */
export class Patience {
  readonly #limits: PatienceLimits
  readonly #onOver: (waitedMs: number) => void
  #spentMs = 0
  #since: number | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(limits: PatienceLimits, onOver: (waitedMs: number) => void) {
    this.#limits = limits
    this.#onOver = onOver
  }

  /** From now on the program is waited for. */
  begin(): void {
    if (this.#since !== undefined) return
    this.#since = performance.now()
    const waitMs = Math.max(1, Math.min(this.#limits.stallMs, this.#limits.totalMs - this.#spentMs))
    this.#timer = setTimeout(() => this.#onOver(waitMs), waitMs)
  }

  /** It gave a sign of life. */
  stop(): void {
    if (this.#since === undefined) return
    clearTimeout(this.#timer)
    this.#spentMs += performance.now() - this.#since
    this.#since = undefined
  }
}

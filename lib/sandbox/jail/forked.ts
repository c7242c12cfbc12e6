/** How a command ended; `unstarted` has why it was not begun, as the fork server said it. */
export interface ForkedEnd {
  exitCode: number | null
  signal: NodeJS.Signals | null
  unstarted: string
}

/** A process in the slot. */
export interface Forked {
  /** As this process sees it; 0 until it has begun, and where it never does. */
  readonly pid: number
  /** Resolves when it has begun, or never will. */
  readonly begun: Promise<void>
  readonly ended: Promise<ForkedEnd>
}

/** One of which the fork server tells. */
export class ForkedProcess implements Forked {
  pid = 0
  readonly begun: Promise<void>
  readonly ended: Promise<ForkedEnd>
  #onBegun!: () => void
  #onEnded!: (end: ForkedEnd) => void

  constructor() {
    this.begun = new Promise((resolve) => {
      this.#onBegun = resolve
    })
    this.ended = new Promise((resolve) => {
      this.#onEnded = resolve
    })
  }

  begin(pid: number): void {
    this.pid = pid
    this.#onBegun()
  }

  end(end: ForkedEnd): void {
    this.#onBegun()
    this.#onEnded(end)
  }
}

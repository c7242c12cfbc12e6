import { statfs } from 'node:fs/promises'
import { deletedFilesBytes } from './deleted-files.ts'
import { diskUsage, leastPerFileBytes } from './disk-usage.ts'

/** How often the filesystem is asked how much of it is free, while a command runs. */
const intervalMs = 100
/** How long the folders may go without being looked at while anything at all is written to the filesystem: somebody may free what this slot takes. */
const staleMs = 5000
/** Looking takes no more than a twentieth of the time; a fifth where the slot may be over its limit. */
const restFactor = 20
const urgentRestFactor = 4
/** So long files without a name are looked for: meanwhile nobody looks at those that have one. */
const deletedBudgetMs = 200
/** What a command may still write in a slot that is over its limit already: enough to tidy up. */
const graceBytes = 2 ** 20

interface Watcher {
  aboveBytes: number
  onFull: (usedBytes: number) => void
}

/** What was found at the last look. */
interface Look {
  usedBytes: number
  /** What was free of the filesystem then, files counted for 4 KiB each. */
  freeBytes: number
  atMs: number
  tookMs: number
}

/**
 * Watches how much the folders of a slot take up on a filesystem that has no quota for them. While commands run, the filesystem is asked
 * ten times a second what is free, which costs next to nothing; the folders are looked at only when enough has been written since, by
 * whomever, for the slot to be over its limit, or when five seconds have passed. So a slot goes over its limit by what it writes in a
 * tenth of a second and during one look.
 */
export class DiskWatch {
  readonly #folders: readonly [string, ...string[]]
  readonly #maxBytes: number
  readonly #holders: (() => Promise<readonly number[]>) | undefined
  readonly #watchers = new Set<Watcher>()
  #timer: NodeJS.Timeout | undefined
  #last: Look | undefined
  #askedAtMs = Number.NEGATIVE_INFINITY
  #asking = false

  /**
   * @param options.folders What the slot writes to; all on one filesystem.
   * @param options.maxBytes How much they may take up.
   * @param options.holders Lists the slot's processes: what they hold open but have deleted counts, too.
   */
  constructor(options: { folders: readonly [string, ...string[]]; maxBytes: number; holders?: () => Promise<readonly number[]> }) {
    this.#folders = options.folders
    this.#maxBytes = options.maxBytes
    this.#holders = options.holders
  }

  /**
   * Whether the last look found the slot over its limit; `usedBytes` looks again. A command that begins while it is should not be able to
   * write long files, so that it can tidy up and do little else.
   */
  get full(): boolean {
    return (this.#last?.usedBytes ?? 0) > this.#maxBytes
  }

  /**
   * Watches for one command. `onFull` is called at most once, when the slot takes up more than it may, and, where it did so before the
   * command began, more than a mebibyte more.
   *
   * @returns what ends the watching.
   */
  watch(onFull: (usedBytes: number) => void): () => void {
    const before = this.#last?.usedBytes ?? 0
    const watcher = { aboveBytes: before > this.#maxBytes ? before + graceBytes : this.#maxBytes, onFull }
    this.#watchers.add(watcher)
    this.#schedule()
    return () => {
      this.#watchers.delete(watcher)
      if (this.#watchers.size === 0) clearTimeout(this.#timer)
    }
  }

  /** What the slot takes up now. */
  async usedBytes(): Promise<number> {
    return (await this.#look(Number.POSITIVE_INFINITY)).usedBytes
  }

  /** Commands may be shorter than the interval, and many: what counts is when the filesystem was last asked. */
  #schedule(): void {
    if (this.#asking || this.#watchers.size === 0) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#ask(), Math.max(0, this.#askedAtMs + intervalMs - performance.now())).unref()
  }

  async #ask(): Promise<void> {
    this.#asking = true
    this.#askedAtMs = performance.now()
    try {
      const freeBytes = await this.#freeBytes()
      if (this.#mayBeFull(freeBytes)) this.#tell(await this.#look(this.#highest()))
    } catch {
      // The folders are just being wiped, or `find` could not be started for want of memory: the next turn tells.
    } finally {
      this.#asking = false
      this.#schedule()
    }
  }

  #mayBeFull(freeBytes: number): boolean {
    const last = this.#last
    // What a new slot may take up is more than it finds there, so nothing is known before the filesystem has been asked once.
    if (!last) {
      this.#last = { usedBytes: 0, freeBytes, atMs: Number.NEGATIVE_INFINITY, tookMs: 0 }
      return false
    }
    const sinceMs = performance.now() - last.atMs
    const written = last.freeBytes - freeBytes
    if (written > this.#lowest() - last.usedBytes) return sinceMs >= urgentRestFactor * last.tookMs
    if (written === 0 || sinceMs < restFactor * last.tookMs) return false
    return this.full || sinceMs > staleMs
  }

  async #look(enoughBytes: number): Promise<Look> {
    const atMs = performance.now()
    // Asked first: what is written meanwhile is taken for written since.
    const freeBytes = await this.#freeBytes()
    const named = await diskUsage(this.#folders, enoughBytes)
    const held = this.#holders && named <= enoughBytes ? await deletedFilesBytes(await this.#holders(), deletedBudgetMs) : 0
    this.#last = { usedBytes: named + held, freeBytes, atMs, tookMs: performance.now() - atMs }
    return this.#last
  }

  #tell({ usedBytes }: Look): void {
    for (const watcher of this.#watchers) {
      if (usedBytes <= watcher.aboveBytes) continue
      this.#watchers.delete(watcher)
      watcher.onFull(usedBytes)
    }
  }

  #lowest(): number {
    return Math.min(...[...this.#watchers].map(({ aboveBytes }) => aboveBytes))
  }

  #highest(): number {
    return Math.max(this.#maxBytes, ...[...this.#watchers].map(({ aboveBytes }) => aboveBytes))
  }

  async #freeBytes(): Promise<number> {
    const { bfree, bsize, ffree } = await statfs(this.#folders[0])
    return bfree * bsize + ffree * leastPerFileBytes
  }
}

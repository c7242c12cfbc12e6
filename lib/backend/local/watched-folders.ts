import { type FSWatcher, statSync, watch } from 'node:fs'

/** Folders in each of which a change to certain names wakes who waits. Keeps no process alive. */
export class WatchedFolders {
  readonly #telling: RegExp
  readonly #watched = new Map<string, { inode: number; watcher: FSWatcher }>()
  #changed = false
  #wake = (): void => {}

  /** @param telling names whose coming, change or going wakes. */
  constructor(telling: RegExp) {
    this.#telling = telling
  }

  /** From now on these folders are watched and no others. One that is not there, or cannot be watched, is left out. */
  follow(paths: readonly string[]): void {
    for (const [path, { inode, watcher }] of this.#watched) {
      if (paths.includes(path) && inodeOf(path) === inode) continue
      watcher.close()
      this.#watched.delete(path)
    }
    for (const path of paths) if (!this.#watched.has(path)) this.#begin(path)
  }

  /** Resolves when something changed since this last resolved, after `atMostMs`, or when `signal` aborts. */
  async changed(atMostMs: number, signal: AbortSignal): Promise<void> {
    if (!this.#changed && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer)
          signal.removeEventListener('abort', done)
          this.#wake = () => {}
          resolve()
        }
        const timer = setTimeout(done, atMostMs)
        timer.unref()
        signal.addEventListener('abort', done)
        this.#wake = done
      })
    }
    this.#changed = false
  }

  close(): void {
    this.follow([])
  }

  #begin(path: string): void {
    const inode = inodeOf(path)
    if (inode === undefined) return
    try {
      const watcher = watch(path, { persistent: false }, (_event, name) => {
        if (name === null || this.#telling.test(name)) this.#touch()
      })
      watcher.on('error', () => {})
      this.#watched.set(path, { inode, watcher })
    } catch {
      // It has just gone, or this user watches too much already.
    }
  }

  #touch(): void {
    this.#changed = true
    this.#wake()
  }
}

/** Undefined when it is not there or out of reach. A folder that was removed and made anew is another. */
function inodeOf(path: string): number | undefined {
  try {
    return statSync(path).ino
  } catch {
    return undefined
  }
}

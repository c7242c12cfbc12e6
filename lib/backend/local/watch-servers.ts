import { WatchedFolders } from './watched-folders.ts'

/** Nothing tells of a process that was killed, nor of a pool whose folder is not there yet: both are looked for this often. */
const lookEveryMs = 1_000

/** In the folder of a pool a server is a folder by its index, in that it is a record. Its log there would wake for each lease. */
const telling = /^([0-9]+|server\.json)$/

/** The servers of a pool at one moment. */
export interface ServersSeen {
  /** Another text when any of them came, went or is another. */
  state: string
  /** Where the next change may show. */
  folders: readonly string[]
}

/**
 * Calls `onChange` at once, and whenever `look` sees another state than before, until `signal` aborts. It looks each second, and when something
 * changes in the folders.
 */
export async function watchServers(
  poolFolder: string,
  look: () => Promise<ServersSeen>,
  onChange: () => void,
  signal: AbortSignal,
): Promise<void> {
  const folders = new WatchedFolders(telling)
  try {
    let last: ServersSeen | undefined
    while (!signal.aborted) {
      // Before the look: what comes during it wakes.
      folders.follow([poolFolder, ...(last?.folders ?? [])])
      const now = await look()
      if (signal.aborted) return
      const isNews = now.state !== last?.state
      last = now
      if (isNews) onChange()
      // A server that has just come has a folder to be followed, too: before a pause, and looked into once more.
      else await folders.changed(lookEveryMs, signal)
    }
  } finally {
    folders.close()
  }
}

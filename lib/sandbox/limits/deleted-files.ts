import { readdir, stat, statfs } from 'node:fs/promises'

/** Files in memory count as memory (statfs(2)). */
const tmpfsMagic = 0x01021994

/**
 * How many bytes on disk processes hold in files that no longer have a name: no look at a folder finds those, and they are freed only when
 * they are closed. A slot may have tens of millions of descriptors: looking ends after `budgetMs`, and begins with any of the processes, so that none is
 * always left out.
 */
export async function deletedFilesBytes(pids: readonly number[], budgetMs = Number.POSITIVE_INFINITY): Promise<number> {
  const seen = new Set<string>()
  const endAtMs = performance.now() + budgetMs
  const from = Math.floor(Math.random() * pids.length)
  let total = 0
  for (const pid of [...pids.slice(from), ...pids.slice(0, from)]) {
    const folder = `/proc/${pid}/fd`
    for (const name of await readdir(folder).catch(() => [])) {
      if (performance.now() > endAtMs) return total
      const file = `${folder}/${name}`
      const found = await stat(file).catch(() => undefined)
      const key = `${found?.dev}:${found?.ino}`
      if (!found?.isFile() || found.nlink > 0 || seen.has(key)) continue
      seen.add(key)
      if ((await statfs(file).catch(() => undefined))?.type !== tmpfsMagic) total += found.blocks * 512
    }
  }
  return total
}

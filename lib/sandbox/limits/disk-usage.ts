import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { toolPath } from '../tool-path.ts'

/** What one file, folder or link counts for at least: a flood of empty ones fills a filesystem, too. */
export const leastPerFileBytes = 4096

/** The look at another slot's folders, which is waited for: all of them together keep no more than one processor busy. */
let turn: Promise<unknown> = Promise.resolve()

/**
 * How many bytes the files below some folders take up on their filesystem, each counted for at least 4 KiB, and a file with several names
 * once. Stops counting once it is at more than `enoughBytes`. One look runs at a time in this process, at the lowest priority.
 *
 * It is `find` that looks, as it takes a twentieth of the time that this process would, which has other things to do. `du` would need two
 * looks, one of them for the number of files, and could not stop early.
 */
export function diskUsage(folders: readonly string[], enoughBytes = Number.POSITIVE_INFINITY): Promise<number> {
  const mine = turn.then(() => look(folders, enoughBytes))
  turn = mine.catch(() => {})
  return mine
}

async function look(folders: readonly string[], enoughBytes: number): Promise<number> {
  // Blocks of 512 bytes; only of files with several names, what tells one from another. No name is printed, whatever it may hold.
  const format = ['(', '-type', 'd', '-o', '-links', '1', ')', '-printf', '%b\\n', '-o', '-printf', '%b %D %i\\n']
  const child = spawn('nice', ['-n', '19', 'find', ...folders, '-xdev', ...format], {
    // It complains of what is removed while it looks.
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { PATH: toolPath },
    cwd: '/',
  })
  const ended = once(child, 'close')
  try {
    return await countLines(child, enoughBytes)
  } finally {
    child.kill('SIGKILL')
    await ended
  }
}

async function countLines(child: ChildProcess, enoughBytes: number): Promise<number> {
  const seen = new Set<string>()
  let total = 0
  let rest = ''
  for await (const chunk of child.stdout ?? []) {
    const lines = (rest + String(chunk)).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const blank = line.indexOf(' ')
      const file = line.slice(blank)
      if (blank > 0 && seen.has(file)) continue
      if (blank > 0) seen.add(file)
      total += Math.max(leastPerFileBytes, Number.parseInt(line, 10) * 512)
    }
    if (total > enoughBytes) break
  }
  return total
}

import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

/** Takes down what is mounted in a folder: an agent that was killed leaves the folders for secrets of its tasks. */
export async function unmountBelow(folder: string): Promise<void> {
  const table = await readFile('/proc/self/mounts', 'utf8')
  const points = table.split('\n').map((line) => unescaped(line.split(' ')[1] ?? ''))
  const below = points.filter((point) => point.startsWith(`${folder}/`)).sort((a, b) => b.length - a.length)
  for (const point of below) await promisify(execFile)('umount', ['--lazy', point])
}

/** Blanks and their like are there as octal numbers (proc_pid_mounts(5)). */
function unescaped(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
}

import { readFileSync } from 'node:fs'

/** The mounts that this process sees and that have one of these words in what they are or where. */
export function mountsWith(words: readonly string[]): string[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
  return lines.filter((line) => words.some((word) => line.includes(word))).map((line) => `mount ${line}`)
}

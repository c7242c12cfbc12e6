/** Options that take no value. */
const flags = new Set(['--json', '--help', '-h', '--version', '--all', '--watch'])

/**
 * Puts `--` before the first word of the command of `exec`, so that `slotpool exec --task-id t ls -la` hands `-la` to `ls`. Words that are
 * options of slotpool stand before it.
 */
export function separateCommand(argv: readonly string[]): string[] {
  const name = firstWord(argv, 0)
  if (argv[name] !== 'exec') return [...argv]
  const start = firstWord(argv, name + 1)
  return start < argv.length ? [...argv.slice(0, start), '--', ...argv.slice(start)] : [...argv]
}

/** The place of the first word from `at` on that is neither an option nor the value of one; the end where a `--` comes first. */
function firstWord(argv: readonly string[], at: number): number {
  while (at < argv.length) {
    const word = argv[at] as string
    if (word === '--') return argv.length
    if (!word.startsWith('-') || word === '-') return at
    at += flags.has(word) || word.startsWith('--no-') || word.includes('=') ? 1 : 2
  }
  return argv.length
}

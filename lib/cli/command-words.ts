/** Options that take no value. */
const flags = new Set(['--json', '--trace', '--help', '-h', '--version', '--all', '--watch'])

/** Takes a value, and would be read as the negation of another option if it stood apart from it. */
const noOutputTimeout = '--no-output-timeout'

/**
 * Puts `--` before the first word of the command of `exec`, so that `slotpool exec --task-id t ls -la` hands `-la` to `ls`. Words that are
 * options of slotpool stand before it.
 */
export function separateCommand(argv: readonly string[]): string[] {
  const name = firstWord(argv, 0)
  if (argv[name] !== 'exec') return [...argv]
  const start = firstWord(argv, name + 1)
  const options = joinNoOutputTimeout(argv.slice(0, start))
  const command = argv.slice(start)
  return command.length === 0 || command[0] === '--' ? [...options, ...command] : [...options, '--', ...command]
}

/** The place of the first word from `at` on that is neither an option nor the value of one; that of a `--` which comes first; or the end. */
function firstWord(argv: readonly string[], at: number): number {
  while (at < argv.length) {
    const word = argv[at] as string
    if (word === '--' || !word.startsWith('-') || word === '-') return at
    at += hasValueApart(word) ? 2 : 1
  }
  return argv.length
}

function hasValueApart(word: string): boolean {
  if (word === noOutputTimeout) return true
  // `-v/a:/b` has its value in it, as `--task-id=t` has.
  return !flags.has(word) && !word.startsWith('--no-') && !word.includes('=') && !/^-[^-]./.test(word)
}

function joinNoOutputTimeout(words: readonly string[]): string[] {
  const joined: string[] = []
  for (const word of words) {
    if (joined.at(-1) === noOutputTimeout) joined.push(`${joined.pop()}=${word}`)
    else joined.push(word)
  }
  // Without its value it is refused as one that has none.
  if (joined.at(-1) === noOutputTimeout) joined.push(`${joined.pop()}=`)
  return joined
}

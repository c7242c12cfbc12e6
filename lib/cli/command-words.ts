/** Options of `exec` that take no value. */
const flags = new Set(['--json', '--help', '--version'])

/**
 * Puts `--` before the first word of the command, so that `slotpool exec --task-id t ls -la` hands `-la` to `ls`. Words that are options
 * of slotpool stand before it.
 */
export function separateCommand(argv: readonly string[]): string[] {
  if (argv[0] !== 'exec') return [...argv]
  let at = 1
  while (at < argv.length) {
    const word = argv[at] as string
    if (word === '--') return [...argv]
    if (!word.startsWith('-') || word === '-') return [...argv.slice(0, at), '--', ...argv.slice(at)]
    at += flags.has(word) || word.includes('=') || word.startsWith('--no-') ? 1 : 2
  }
  return [...argv]
}

import type { Options } from 'yargs'
import { type ExecArguments, execOptions } from './exec-options.ts'
import { startOptions } from './pool-options.ts'

const options: Readonly<Record<string, Options>> = { ...startOptions, ...execOptions }

/**
 * Reads the words of a `slotpool exec` in which there is nothing to explain and nothing that could be read in two ways, as yargs would; undefined
 * for any others. To load yargs and have it read them takes longer than the command itself.
 *
 * @param words - as `separateCommand` hands them on.
 */
export function plainExec(words: readonly string[]): ExecArguments | undefined {
  const end = words.indexOf('--')
  if (words[0] !== 'exec' || end === -1 || end === words.length - 1) return undefined
  const read: Record<string, unknown> = { json: false, trace: false, '--': words.slice(end + 1) }
  for (let at = 1; at < end; at++) {
    const [, name = '', joined] = /^--([a-z-]+)(?:=(.*))?$/s.exec(words[at] as string) ?? []
    const option = Object.hasOwn(options, name) ? (options[name] as Options) : undefined
    if (!option) return undefined
    const key = name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
    if (option.type === 'boolean') {
      if (joined !== undefined) return undefined
      read[key] = true
      continue
    }
    const value = joined ?? (at + 1 < end ? words[++at] : undefined)
    // Empty ones, those that look like options and those in quotes have a meaning of their own.
    if (value === undefined || /^(?:$|[-'"])/.test(value)) return undefined
    if (option.choices && !option.choices.includes(value)) return undefined
    if (option.array) read[key] = [...((read[key] as string[] | undefined) ?? []), value]
    else if (key in read) return undefined
    else read[key] = value
  }
  return read as unknown as ExecArguments
}

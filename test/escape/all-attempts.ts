import { readdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { packageRoot } from '../../lib/package-root.ts'
import { sourcePath } from '../fixtures/source.ts'
import type { Attempt } from './attempt.ts'

/** One file of attempts, by its name. */
export interface AttemptFile {
  path: string
  attempts: readonly Attempt[]
}

/** Every file of `attempts/`; `SLOTPOOL_ESCAPE` picks those whose name holds it. */
export async function attemptFiles(): Promise<AttemptFile[]> {
  const folder = join(packageRoot(), 'test', 'escape', 'attempts')
  const names = (await readdir(folder)).filter((name) => name.endsWith('.ts') && name.includes(process.env.SLOTPOOL_ESCAPE ?? '')).sort()
  return Promise.all(
    names.map(async (name) => {
      const path = join(folder, name)
      const module = (await import(sourcePath(`test/escape/attempts/${name}`))) as { attempts: readonly Attempt[] }
      return { path, attempts: module.attempts }
    }),
  )
}

/** Of all files, or of those with these names. @throws when there is no such file. */
export async function allAttempts(names?: readonly string[]): Promise<Attempt[]> {
  const files = await attemptFiles()
  const chosen = files.filter(({ path }) => names?.includes(basename(path, '.ts')) ?? true)
  if (names && chosen.length < names.length && process.env.SLOTPOOL_ESCAPE === undefined)
    throw new Error(`got ${names.join(', ')}, expected names of files in ${dirname(files[0]?.path ?? '')}`)
  return chosen.flatMap((file) => file.attempts)
}

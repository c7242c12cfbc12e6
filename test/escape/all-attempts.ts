import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { packageRoot } from '../../lib/package-root.ts'
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
      const module = (await import(path)) as { attempts: readonly Attempt[] }
      return { path, attempts: module.attempts }
    }),
  )
}

export async function allAttempts(): Promise<Attempt[]> {
  return (await attemptFiles()).flatMap((file) => file.attempts)
}

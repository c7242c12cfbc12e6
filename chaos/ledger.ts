import { readFile } from 'node:fs/promises'

/** The lines that commands have written, in order; none when there is no ledger yet. */
export async function readLedger(path: string): Promise<string[]> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
  return text.split('\n').filter((line) => line !== '')
}

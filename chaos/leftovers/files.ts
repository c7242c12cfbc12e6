import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** The files in a folder, however deep; folders that are empty are nobody's. */
export async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  return entries.filter((one) => !one.isDirectory()).map((one) => `file ${join(one.parentPath, one.name)}`)
}

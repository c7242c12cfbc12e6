import { statSync } from 'node:fs'

/** Says which of these folders is not there, or null. One that may not be looked at counts as there. */
export function folderFault(folders: readonly string[]): string | null {
  const missing = folders.find((folder) => !isThere(folder))
  return missing === undefined ? null : `its folder ${missing} is gone`
}

function isThere(folder: string): boolean {
  try {
    return statSync(folder, { throwIfNoEntry: false })?.isDirectory() ?? false
  } catch (error) {
    return ['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')
  }
}

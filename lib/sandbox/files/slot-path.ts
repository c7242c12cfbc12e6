import { checkFilePath } from '../../wire/file-path.ts'

/**
 * A path as a program's argument: none is taken for an option or for `cd -`, and none else is changed. Where it leads is found out in the
 * slot.
 *
 * @throws {SlotpoolError} `FILE_FAILED` when it can be no path.
 */
export function slotPath(path: string): string {
  checkFilePath(path)
  return path.startsWith('/') ? path : `./${path}`
}

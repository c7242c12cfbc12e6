import { SlotpoolError } from '../../errors.ts'

/**
 * Does something to the files of a store of images.
 *
 * @param doing completes "could not …".
 * @throws {SlotpoolError} `IMAGE_STORE_FAILED` for what the file system refuses; `CANCELLED`; what is ours already as it is.
 */
export async function storing<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof SlotpoolError) throw error
    if (error instanceof Error && error.name === 'AbortError')
      throw new SlotpoolError('CANCELLED', `gave up before it could ${doing}`, { cause: error })
    throw new SlotpoolError('IMAGE_STORE_FAILED', `could not ${doing}: ${(error as Error).message}`, { cause: error })
  }
}

/** Whether a file or folder is just not there. */
export function isMissing(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')
}

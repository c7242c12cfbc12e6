import { SlotpoolError } from '../../errors.ts'

/**
 * Takes back what was made before `error`, then throws it. When taking back fails as well, the first failure tells more; but who merely
 * gave up is owed to know what was left behind.
 */
export async function undoAndThrow(error: unknown, undo: () => Promise<void>): Promise<never> {
  try {
    await undo()
  } catch (undoError) {
    if (error instanceof SlotpoolError && error.code === 'CANCELLED') throw undoError
  }
  throw error
}

import { NomadBackend } from '../../backend/nomad/nomad-backend.ts'
import type { Config } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'

/** What somebody changed by hand in the job of the configured pool, for the end of a line; empty for nothing, and where it cannot be told. */
export async function changedJobText(config: Config, signal: AbortSignal): Promise<string> {
  let backend: NomadBackend | undefined
  try {
    backend = new NomadBackend(config)
    const changes = await backend.changedByHand(signal)
    return changes.length === 0 ? '' : `; the job of pool ${config.pool} was changed by hand: ${changes.join(', ')}`
  } catch (error) {
    if (signal.aborted || !(error instanceof SlotpoolError)) throw error
    return ''
  } finally {
    await backend?.close()
  }
}

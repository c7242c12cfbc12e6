import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Config } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'
import { chooseIsolation } from '../../sandbox/jail/choose.ts'

/** Above every uid that a local pool gives its slots: ending a trial ends all processes of its uid. */
const trialUidBase = 1_001_000_000

/** Null when a command ran in a slot isolated this way, made as the sandbox server would make it as this user; else why it did not. */
export async function trialIsolation(isolation: 'jail' | 'uid', network: Config['network']): Promise<string | null> {
  // As root the slot's user passes through the folder, so it must not lie in a TMPDIR that is root's alone.
  const folder = await mkdtemp(join(process.geteuid?.() === 0 ? '/tmp' : tmpdir(), `slotpool-doctor-${process.pid}-`))
  try {
    await chmod(folder, 0o711)
    await chooseIsolation({ isolation, network, uidBase: trialUidBase + process.pid, folder, systemFolder: join(folder, 'system') })
    return null
  } catch (error) {
    const { details, message } = SlotpoolError.from(error)
    const [failure] = Array.isArray(details.failures) ? (details.failures as string[]) : []
    return failure?.replace(/^(jail|uid): /, '') ?? message
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

import { randomUUID } from 'node:crypto'
import { allProcesses, startedWith } from '../processes.ts'
import { makeSlotFolders, wipeSlotFolders } from '../slot-folders.ts'
import { terminateAll } from '../terminate.ts'
import { cleanEnvironment } from './clean-environment.ts'
import { type EntryTerms, underTerms } from './entry-terms.ts'
import { folderFault } from './folder-fault.ts'
import type { Jail, JailKind, SlotFolders, SlotIdentity } from './jail.ts'
import { slotUser } from './passwd.ts'

/** A folder and a clean environment, and nothing that would keep a command inside. Only where the caller wrote `none`. */
export class UnisolatedJails implements JailKind {
  readonly level = 'none'
  readonly network = 'host'
  readonly root = 'shared'
  readonly user = slotUser

  #identity(): SlotIdentity {
    return { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 }
  }

  async make(_slot: number, root: string): Promise<Jail> {
    return new Unisolated(await makeSlotFolders(root, this.#identity()))
  }

  wipe(root: string): Promise<void> {
    return wipeSlotFolders(root)
  }
}

class Unisolated implements Jail {
  readonly level = 'none'
  readonly network = 'host'
  readonly root = 'shared'
  readonly user = slotUser
  readonly view: Jail['view']
  readonly ended = new Promise<void>(() => {})
  /** Marks the processes of this slot, which share their uid with everything else. */
  readonly #mark = randomUUID()

  constructor(folders: SlotFolders) {
    this.view = { workspace: folders.workspace, home: folders.home, tmp: folders.tmp }
  }

  enter(env: Record<string, string>, program: readonly string[], terms: EntryTerms = {}): { file: string; args: string[] } {
    const marked = { ...env, SLOTPOOL_SLOT: this.#mark }
    return underTerms(terms, { file: 'env', args: [`--chdir=${this.view.workspace}`, ...cleanEnvironment(marked), ...program] })
  }

  fault(): string | null {
    return folderFault([this.view.workspace])
  }

  async processes(): Promise<number[]> {
    const pids = await allProcesses()
    const own = await Promise.all(pids.map((pid) => startedWith(pid, `SLOTPOOL_SLOT=${this.#mark}`)))
    return pids.filter((_, index) => own[index])
  }

  async end(): Promise<void> {
    await terminateAll(() => this.processes())
  }
}

import { dirname } from 'node:path'
import { allProcesses, processUid } from '../processes.ts'
import { runSignaller, signalUser } from '../signal-user.ts'
import { makeSlotFolders, wipeSlotFolders } from '../slot-folders.ts'
import { terminateAll } from '../terminate.ts'
import { cleanEnvironment } from './clean-environment.ts'
import { type EntryTerms, underTerms } from './entry-terms.ts'
import { folderFault } from './folder-fault.ts'
import type { Jail, JailKind, SlotFolders, SlotIdentity } from './jail.ts'
import { removeLeftOfUid } from './left-of-uid.ts'
import { slotUser } from './passwd.ts'

/**
 * A uid of its own for each slot, folders that only it may enter, no capabilities and no new privileges. It keeps slots from each other's
 * files and processes, but they see the processes, the /tmp and the network of the container. For servers that run as root without the
 * right to make namespaces.
 */
export class OwnUidJails implements JailKind {
  readonly level = 'uid'
  readonly network = 'host'
  readonly root = 'shared'
  readonly user = slotUser
  readonly #uidBase: number

  constructor(options: { uidBase: number }) {
    this.#uidBase = options.uidBase
  }

  #identity(slot: number): SlotIdentity {
    return { uid: this.#uidBase + slot, gid: this.#uidBase + slot }
  }

  async make(slot: number, root: string): Promise<Jail> {
    const identity = this.#identity(slot)
    const jail = new OwnUidJail(identity, await makeSlotFolders(root, identity), dirname(root))
    // A server that was killed left its processes behind, under the uid that this slot has again.
    await jail.endAll()
    await removeLeftOfUid(identity.uid, dirname(root))
    return jail
  }

  wipe(root: string): Promise<void> {
    return wipeSlotFolders(root)
  }
}

class OwnUidJail implements Jail {
  readonly level = 'uid'
  readonly network = 'host'
  readonly root = 'shared'
  readonly user = slotUser
  readonly view: Jail['view']
  /** It is no process that could end. */
  readonly ended = new Promise<void>(() => {})
  readonly #identity: SlotIdentity
  readonly #slotsFolder: string
  #over = false

  constructor(identity: SlotIdentity, folders: SlotFolders, slotsFolder: string) {
    this.#identity = identity
    this.#slotsFolder = slotsFolder
    this.view = { workspace: folders.workspace, home: folders.home, tmp: folders.tmp }
  }

  enter(env: Record<string, string>, program: readonly string[], terms: EntryTerms = {}): { file: string; args: string[] } {
    const { uid, gid } = this.#identity
    return underTerms(terms, {
      file: 'setpriv',
      args: [
        ...[`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--bounding-set=-all', '--inh-caps=-all', '--no-new-privs'],
        ...['env', `--chdir=${this.view.workspace}`],
        ...cleanEnvironment(env),
        ...program,
      ],
    })
  }

  fault(): string | null {
    return folderFault([this.view.workspace])
  }

  async processes(): Promise<number[]> {
    const pids = await allProcesses()
    const own = await Promise.all(pids.map(async (pid) => (await processUid(pid)) === this.#identity.uid))
    return pids.filter((_, index) => own[index])
  }

  signalAll(signal: NodeJS.Signals): Promise<boolean> {
    return runSignaller(signalUser(this.#identity.uid, signal))
  }

  async end(): Promise<void> {
    if (this.#over) return
    await this.endAll()
    await removeLeftOfUid(this.#identity.uid, this.#slotsFolder)
    this.#over = true
  }

  /** Ends all that the uid runs, whoever started it. */
  async endAll(): Promise<void> {
    await terminateAll(
      () => this.processes(),
      () => this.signalAll('SIGKILL'),
    )
  }
}

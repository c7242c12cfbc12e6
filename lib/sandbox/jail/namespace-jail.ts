import type { IsolationLevel, NetworkLevel, RootKind } from '../../wire/lease.ts'
import type { AttachedNetwork } from '../network/network.ts'
import { allProcesses, pidNamespace, signalProcess } from '../processes.ts'
import { runSignaller, signalEverything } from '../signal-user.ts'
import { entryCommand, type SlotEntry } from './entry-program.ts'
import type { EntryTerms } from './entry-terms.ts'
import { folderFault } from './folder-fault.ts'
import { ForkServer } from './fork-server.ts'
import { type Jail, programsOf, type SlotPrograms } from './jail.ts'

/** A jail with a PID namespace of its own, which one process keeps: with that process all of it ends. */
export abstract class NamespaceJail implements Jail {
  readonly level: IsolationLevel = 'jail'
  abstract readonly root: RootKind
  abstract readonly user: string
  abstract readonly view: Jail['view']
  readonly programs?: SlotPrograms
  readonly network: NetworkLevel
  readonly ended: Promise<void>
  /** The first process of the PID namespace, as the server sees it. */
  protected readonly keeper: number
  readonly #attached: AttachedNetwork
  #forkServer: ForkServer | undefined
  /** Once it has ended, its process id may belong to another process. */
  #over = false

  /** `ended` resolves when the keeper has, by itself or by `end`. */
  constructor(parts: { keeper: number; ended: Promise<void>; network: AttachedNetwork; level: NetworkLevel }) {
    this.keeper = parts.keeper
    this.network = parts.level
    this.#attached = parts.network
    this.ended = parts.ended.then(() => {
      this.#over = true
      this.letGo()
    })
    // A slot without the network it was promised is no slot; its lease is then lost, and says so.
    void parts.network.ended.then(() => this.#kill())
  }

  /** Folders without which nobody could work in it, as the server sees them. */
  protected abstract readonly standsOn: readonly string[]

  /** How it is entered. */
  protected abstract get way(): SlotEntry

  /** Makes it ready for commands. @throws {SlotpoolError} `JAIL_FAILED`; it has ended then. */
  async open(): Promise<this> {
    try {
      this.#forkServer = await ForkServer.start(this.way)
    } catch (error) {
      await this.end()
      throw error
    }
    // Without it the slot could run nothing any more.
    void this.#forkServer.over.then(() => this.#kill())
    return this
  }

  /** There is one from when it was opened. */
  get forkServer(): ForkServer {
    if (!this.#forkServer) throw new Error('got a command for a jail that has yet to be opened')
    return this.#forkServer
  }

  enter(env: Record<string, string>, program: readonly string[], terms: EntryTerms = {}): { file: string; args: string[] } {
    return entryCommand({ ...this.way, workspace: this.view.workspace, env, terms }, program)
  }

  fault(): string | null {
    return this.#over ? null : folderFault(this.standsOn)
  }

  /** Closes what the server holds open of it. Called once, when it has ended. */
  protected abstract letGo(): void

  get adopter(): number {
    return this.keeper
  }

  async processes(): Promise<number[]> {
    const namespace = await pidNamespace(this.keeper)
    if (namespace === undefined || this.#over) return []
    const pids = await allProcesses()
    const inside = await Promise.all(pids.map(async (pid) => pid !== this.keeper && (await pidNamespace(pid)) === namespace))
    return pids.filter((_, index) => inside[index])
  }

  async signalAll(signal: NodeJS.Signals): Promise<boolean> {
    // Where the jail has gone, its process id may be another's, and so would be the processes that are signalled.
    const namespace = await pidNamespace(this.keeper)
    if (this.#over || namespace === undefined || namespace === (await pidNamespace(process.pid))) return false
    const { bash, path } = programsOf(this)
    const program = [bash, '--norc', '--noprofile', '-c', '[ "$(readlink /proc/self/ns/pid)" = "$0" ] && exec "$@"', namespace]
    return runSignaller(this.enter({ PATH: path }, [...program, ...signalEverything(signal, bash)]))
  }

  async end(): Promise<void> {
    this.#kill()
    await this.ended
    await this.#forkServer?.close()
    await this.#attached.detach()
  }

  /** With its first process a PID namespace ends as a whole, and the kernel reports that end only when nothing in it is left. */
  #kill(): void {
    if (!this.#over) signalProcess(this.keeper, 'SIGKILL')
  }
}

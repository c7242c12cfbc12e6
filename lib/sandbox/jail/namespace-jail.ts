import type { IsolationLevel, NetworkLevel, RootKind } from '../../wire/lease.ts'
import type { AttachedNetwork } from '../network/network.ts'
import { allProcesses, pidNamespace, signalProcess } from '../processes.ts'
import { runSignaller, signalEverything } from '../signal-user.ts'
import { toolPath } from '../tool-path.ts'
import type { EntryTerms } from './entry-terms.ts'
import type { Jail } from './jail.ts'

/** A jail with a PID namespace of its own, which one process keeps: with that process all of it ends. */
export abstract class NamespaceJail implements Jail {
  readonly level: IsolationLevel = 'jail'
  abstract readonly root: RootKind
  abstract readonly user: string
  abstract readonly view: Jail['view']
  readonly network: NetworkLevel
  readonly ended: Promise<void>
  /** The first process of the PID namespace, as the server sees it. */
  protected readonly keeper: number
  readonly #attached: AttachedNetwork
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

  abstract enter(env: Record<string, string>, program: readonly string[], terms?: EntryTerms): { file: string; args: string[] }

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
    const program = ['bash', '--norc', '--noprofile', '-c', '[ "$(readlink /proc/self/ns/pid)" = "$0" ] && exec "$@"', namespace]
    return runSignaller(this.enter({ PATH: toolPath }, [...program, ...signalEverything(signal)]))
  }

  async end(): Promise<void> {
    this.#kill()
    await this.ended
    await this.#attached.detach()
  }

  /** With its first process a PID namespace ends as a whole, and the kernel reports that end only when nothing in it is left. */
  #kill(): void {
    if (!this.#over) signalProcess(this.keeper, 'SIGKILL')
  }
}

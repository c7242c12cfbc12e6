import { signalProcess } from '../../lib/sandbox/processes.ts'
import { isRunning, type NamedProcess } from '../leftovers/processes.ts'
import { delayFor, stallMs } from '../stall.ts'

/** Sandbox servers of this machine that are stopped for a while: they live, and answer nobody. */
export class StoppedServers {
  readonly #stopped = new Set<NamedProcess>()

  /** Stops a server for a while. What runs in its slots goes on. One that is gone is left alone. */
  async stall(server: NamedProcess | undefined, extent: number): Promise<void> {
    if (!server || !(await isRunning(server))) return
    this.#stopped.add(server)
    signalProcess(server.pid, 'SIGSTOP')
    await delayFor(stallMs(extent))
    await this.#continue(server)
  }

  /** Lets all go on that are still stopped. */
  async close(): Promise<void> {
    await Promise.all([...this.#stopped].map((server) => this.#continue(server)))
  }

  async #continue(server: NamedProcess): Promise<void> {
    if (await isRunning(server)) signalProcess(server.pid, 'SIGCONT')
    this.#stopped.delete(server)
  }
}

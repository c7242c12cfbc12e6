import type { CheckedExecutionRequest } from '../wire/execution.ts'
import { Briefings } from './briefings.ts'
import { slotEnvironment } from './environment.ts'
import type { Execution } from './execution.ts'
import { Fifos } from './fifos.ts'
import { JailFiles } from './files/jail-files.ts'
import type { PatienceLimits } from './files/patience.ts'
import { type ExecutionMeans, JailExecution } from './jail-execution.ts'
import { ReadyShells, shellOrder } from './ready-shells.ts'
import { SlotPipes } from './slot-pipes.ts'
import type { SlotRuntime } from './slot-runtime.ts'
import type { Slot } from './slots.ts'

/** As long as those that clients give. */
const usualId = '00000000-0000-0000-0000-000000000000'

/** Commands and files in real jails. */
export class JailRuntime implements SlotRuntime {
  readonly files: JailFiles
  readonly #fifos: Fifos
  readonly #means = new WeakMap<Slot, ExecutionMeans>()
  #started = (): void => {}
  readonly #ready = new Promise<void>((resolve) => {
    this.#started = resolve
  })

  /** `folder` is where the pipes of commands are made; `patience` how long programs that work on files are waited for. */
  constructor(folder: string, patience?: PatienceLimits) {
    this.#fifos = new Fifos(folder)
    this.files = new JailFiles(patience)
  }

  start(): Promise<void> {
    return this.#fifos.prepare().then(this.#started)
  }

  makeReady(slot: Slot): void {
    const { jail, bounds } = slot
    const { readyShells } = this.#meansOf(slot)
    const { env } = slotEnvironment(jail, { allowEnv: [] }, usualId)
    // In the folder and with the environment that a command has unless it asks for others.
    if (readyShells)
      void this.#ready.then(() =>
        readyShells.prepare(shellOrder('', { cwd: jail.view.workspace, env, mergeStderr: false, terms: bounds.terms() })),
      )
  }

  execution(id: string, request: CheckedExecutionRequest, slot: Slot): Execution {
    return new JailExecution(id, request, slot, this.#meansOf(slot))
  }

  #meansOf(slot: Slot): ExecutionMeans {
    const known = this.#means.get(slot)
    if (known) return known
    const { forkServer: server, ended } = slot.jail
    const slotPipes = new SlotPipes(this.#fifos, ended)
    const briefings = new Briefings(this.#fifos, ended)
    const readyShells = server && new ReadyShells({ server, pipes: slotPipes, briefings, group: () => slot.bounds.execution(), ended })
    const means = { fifos: this.#fifos, slotPipes, readyShells }
    this.#means.set(slot, means)
    return means
  }

  close(): Promise<void> {
    return this.#fifos.close()
  }
}

import { SlotpoolError } from '../../errors.ts'
import { type Clock, systemClock } from '../../sandbox/clock.ts'
import type { Execution } from '../../sandbox/execution.ts'
import type { Jail, JailKind } from '../../sandbox/jail/jail.ts'
import type { SlotRuntime } from '../../sandbox/slot-runtime.ts'
import type { Slot } from '../../sandbox/slots.ts'
import type { CheckedExecutionRequest } from '../../wire/execution.ts'
import { type Script, ScriptedExecution } from './scripted-execution.ts'
import { ScriptedFiles } from './scripted-files.ts'

const workspace = '/workspace'

/** A slot that is nothing but a name: no process, no folder. */
export class ScriptedJails implements JailKind {
  readonly level = 'none'
  readonly network = 'none'
  readonly root = 'shared'
  readonly user = 'agent'
  /** As where what a slot left cannot be removed. */
  wipesFail = false

  async make(): Promise<Jail> {
    let end = (): void => {}
    const ended = new Promise<void>((resolve) => {
      end = resolve
    })
    return {
      level: this.level,
      network: this.network,
      root: this.root,
      user: this.user,
      view: { workspace, home: '/home/agent', tmp: '/tmp' },
      enter: () => {
        throw new SlotpoolError('INTERNAL', 'a scripted slot runs no programs')
      },
      processes: async () => [],
      ended,
      end: async () => end(),
    }
  }

  async wipe(): Promise<void> {
    if (this.wipesFail) throw new Error('the script fails to wipe')
  }
}

/** Commands answered by a script, files held in memory for as long as their slot's lease. */
export class ScriptedRuntime implements SlotRuntime {
  readonly #script: Script
  readonly #clock: Clock
  readonly files = new ScriptedFiles(workspace)

  constructor(script: Script, clock: Clock = systemClock) {
    this.#script = script
    this.#clock = clock
  }

  async start(): Promise<void> {}

  makeReady(): void {}

  execution(id: string, request: CheckedExecutionRequest, { jail }: Slot): Execution {
    return new ScriptedExecution(id, request, {
      script: this.#script,
      files: this.files.treeOf(jail).files,
      slot: jail,
      clock: this.#clock,
    })
  }

  async close(): Promise<void> {}
}

import { posix } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { SlotpoolError } from '../../errors.ts'
import type { Execution } from '../../sandbox/execution.ts'
import type { Jail, JailKind } from '../../sandbox/jail/jail.ts'
import type { SlotRuntime } from '../../sandbox/slot-runtime.ts'
import type { CheckedExecutionRequest } from '../../wire/execution.ts'
import { checkFilePath } from '../../wire/file-path.ts'
import { type Script, ScriptedExecution } from './scripted-execution.ts'

const workspace = '/workspace'

/** A slot that is nothing but a name: no process, no folder. */
export class ScriptedJails implements JailKind {
  readonly level = 'none'
  readonly network = 'none'
  readonly root = 'shared'
  readonly user = 'agent'

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

  async wipe(): Promise<void> {}
}

/** Commands answered by a script, files held in memory for as long as their slot's lease. */
export class ScriptedRuntime implements SlotRuntime {
  readonly #script: Script
  readonly #files = new WeakMap<Jail, Map<string, Buffer>>()

  constructor(script: Script) {
    this.#script = script
  }

  async start(): Promise<void> {}

  execution(id: string, request: CheckedExecutionRequest, jail: Jail): Execution {
    return new ScriptedExecution(id, request, { script: this.#script, files: this.#filesOf(jail), slot: jail })
  }

  async readFile(jail: Jail, path: string): Promise<Readable> {
    const content = this.#filesOf(jail).get(this.#place(jail, path))
    if (!content) throw new SlotpoolError('FILE_NOT_FOUND', `got path ${path}: no such file`, { details: { path } })
    return Readable.from([content])
  }

  async writeFile(jail: Jail, path: string, content: Readable, bytes: number): Promise<void> {
    const place = this.#place(jail, path)
    const whole = await buffer(content)
    if (whole.length !== bytes) throw new SlotpoolError('FILE_FAILED', `got path ${path}: the content was cut short`)
    this.#filesOf(jail).set(place, whole)
  }

  async close(): Promise<void> {}

  /** Where a path leads. A folder is what has files in it. */
  #place(jail: Jail, path: string): string {
    checkFilePath(path)
    const place = posix.resolve(workspace, path)
    if (place === workspace || [...this.#filesOf(jail).keys()].some((file) => file.startsWith(`${place}/`))) {
      throw new SlotpoolError('FILE_FAILED', `got path ${path}: it is a folder`, { details: { path } })
    }
    return place
  }

  #filesOf(jail: Jail): Map<string, Buffer> {
    let files = this.#files.get(jail)
    if (!files) {
      files = new Map()
      this.#files.set(jail, files)
    }
    return files
  }
}

import type { EntryTerms } from './jail/entry-terms.ts'
import { resourceLimitsText } from './jail/entry-terms.ts'
import { type ForkServer, type PreparedShell, shellPath } from './jail/fork-server.ts'
import type { ExecutionGroup } from './limits/execution-group.ts'
import type { NamedPipe, SlotPipes } from './slot-pipes.ts'

/** What is kept for a command that has yet to come, in bytes; a longer one is forked. As much again may be needed for each quote in it. */
const leastRoomBytes = 1024
const mostRoomBytes = 8192

/**
 * Variables that change what bash does before it comes to the command, or how it reads what a ready shell is told; and those that it would
 * take another value of than the one it was started with.
 */
const startsOtherwise =
  /^(BASH|LC_|LD_|LANG$|LANGUAGE$|SHELLOPTS$|POSIXLY_CORRECT$|SECONDS$|IFS$|PWD$|OLDPWD$|PS4$|SLOTPOOL_EXECUTION_ID$|_$|$|[^=]*[^A-Za-z0-9_])/

/** What a command is run with, besides itself and its id. Shells are made ready for commands that are run with the same. */
export interface ShellTerms {
  cwd: string
  /** Its last entry is the id of the execution. */
  env: Readonly<Record<string, string>>
  mergeStderr: boolean
  terms: EntryTerms
}

/** A shell that waits in the slot for one command, with pipes for its output and a control group of its own. */
export interface ReadyShell {
  readonly shell: PreparedShell
  readonly pipes: readonly NamedPipe[]
  readonly group: ExecutionGroup
  /** Ends it, instead of giving it a command. */
  drop(): void
}

/**
 * The shell of a slot that has been started before its command comes, so that a command is not kept waiting for bash, nor for its way into
 * the slot. It is made for commands like the last one: a task's commands tend to be run in one folder and with one environment.
 */
export class ReadyShells {
  readonly #server: ForkServer
  readonly #pipes: SlotPipes
  readonly #group: () => Promise<ExecutionGroup | null>
  #ready: (ReadyShell & { key: string; roomBytes: number }) | undefined
  #preparing = false
  #over = false

  /** `group` makes a control group for one execution, null where there are none: an execution is not told from its slot then. */
  constructor(parts: { server: ForkServer; pipes: SlotPipes; group: () => Promise<ExecutionGroup | null>; ended: Promise<void> }) {
    this.#server = parts.server
    this.#pipes = parts.pipes
    this.#group = parts.group
    void parts.ended.then(() => {
      this.#over = true
      for (const { pipe } of this.#ready?.pipes ?? []) pipe.close()
      this.#ready = undefined
    })
  }

  /** The shell that waits for such a command. It is the caller's then. */
  take(command: string, of: ShellTerms): ReadyShell | undefined {
    const ready = this.#ready
    if (!ready || ready.key !== keyOf(of) || Buffer.byteLength(command) > ready.roomBytes) return undefined
    this.#ready = undefined
    return ready
  }

  /** Begins to make one ready for a command like this one, unless there is. */
  prepare(command: string, of: ShellTerms): void {
    const roomBytes = roomFor(command)
    const key = keyOf(of)
    if (this.#preparing || this.#over || this.#server.unfit !== undefined) return
    if (this.#ready?.key === key && this.#ready.roomBytes >= roomBytes) return
    this.#ready?.drop()
    this.#ready = undefined
    if (roomBytes > mostRoomBytes || !isPlain(of)) return
    this.#preparing = true
    this.#make(roomBytes, of)
      .then((ready) => {
        if (ready && this.#over) for (const { pipe } of ready.pipes) pipe.close()
        else if (ready) this.#ready = { ...ready, key, roomBytes }
      })
      .catch(() => {
        // The command that would have had it is forked, and says what is wrong.
      })
      .finally(() => {
        this.#preparing = false
      })
  }

  async #make(roomBytes: number, { cwd, env, mergeStderr, terms }: ShellTerms): Promise<ReadyShell | undefined> {
    const group = await this.#group()
    if (!group) return undefined
    const pipes: NamedPipe[] = []
    try {
      pipes.push(await this.#pipes.take())
      if (!mergeStderr) pipes.push(await this.#pipes.take())
    } catch (error) {
      for (const { pipe } of pipes) pipe.close()
      group.leave()
      throw error
    }
    const [out, err] = pipes as [NamedPipe, NamedPipe?]
    const shell = this.#server.prepare(roomBytes, {
      cwd,
      env,
      terms: { ...terms, joinFiles: group.joinFiles },
      stdoutPath: out.path,
      ...(err ? { stderrPath: err.path } : {}),
    })
    const drop = (): void => {
      shell.drop()
      for (const { pipe } of pipes) pipe.discard()
      void shell.ended.then(() => group.leave())
    }
    return { shell, pipes, group, drop }
  }
}

function keyOf({ cwd, env, mergeStderr, terms }: ShellTerms): string {
  const entries = Object.entries(env)
  const id = entries.pop()?.[1] ?? ''
  return JSON.stringify([cwd, entries, id.length, mergeStderr, resourceLimitsText(terms)])
}

function roomFor(command: string): number {
  let roomBytes = leastRoomBytes
  while (roomBytes < Buffer.byteLength(command)) roomBytes *= 2
  return roomBytes
}

/** Whether a shell can be started for it before its command is known, and not be told from one that was started after. */
function isPlain({ cwd, env }: ShellTerms): boolean {
  return (
    shellPath(cwd) === cwd &&
    Object.keys(env)
      .slice(0, -1)
      .every((name) => name === 'LANG' || !startsOtherwise.test(name))
  )
}

import type { Briefings } from './briefings.ts'
import type { Briefing } from './jail/briefing.ts'
import { type EntryTerms, resourceLimitsText } from './jail/entry-terms.ts'
import { type ForkServer, shellPath } from './jail/fork-server.ts'
import type { PreparedShell } from './jail/prepared-shell.ts'
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

/** A command that takes longer is no longer waited for. To start a shell beside a short one would keep that waiting. */
const shortMs = 3

/** How many wait at most, and within what time of the last a command is one of many: a shell takes longer to start than a short command to run. */
const mostShells = 3
const soonMs = 50

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

/** What shell a command would have; made once for a command that is to be run. */
export interface ShellOrder {
  readonly of: ShellTerms
  /** Alike for all that a shell can be made ready for together. */
  readonly key: string
  readonly commandBytes: number
}

export function shellOrder(command: string, of: ShellTerms): ShellOrder {
  return { of, key: keyOf(of), commandBytes: Buffer.byteLength(command) }
}

type Waiting = ReadyShell & { key: string; roomBytes: number }

/**
 * The shells of a slot that has been started before its command comes, so that a command is not kept waiting for bash, nor for its way into
 * the slot. It is made for commands like the last one: a task's commands tend to be run in one folder and with one environment.
 */
export class ReadyShells {
  readonly #server: ForkServer
  readonly #pipes: SlotPipes
  readonly #briefings: Briefings
  readonly #group: () => Promise<ExecutionGroup | null>
  #waiting: Waiting[] = []
  #preparing = 0
  #lastTakenAtMs = Number.NEGATIVE_INFINITY
  #over = false

  /** `group` makes a control group for one execution, null where there are none: an execution is not told from its slot then. */
  constructor(parts: {
    server: ForkServer
    pipes: SlotPipes
    briefings: Briefings
    group: () => Promise<ExecutionGroup | null>
    ended: Promise<void>
  }) {
    this.#server = parts.server
    this.#pipes = parts.pipes
    this.#briefings = parts.briefings
    this.#group = parts.group
    void parts.ended.then(() => {
      this.#over = true
      for (const { pipe } of this.#waiting.splice(0).flatMap(({ pipes }) => pipes)) pipe.close()
    })
  }

  /** The shell that waits for such a command. It is the caller's then. */
  take({ key, commandBytes }: ShellOrder): ReadyShell | undefined {
    const at = this.#waiting.findIndex((one) => one.key === key && commandBytes <= one.roomBytes)
    return at === -1 ? undefined : this.#waiting.splice(at, 1)[0]
  }

  /** As {@link prepare}, when the command before has ended, or takes its time. */
  prepareAfter(ended: Promise<unknown>, order: ShellOrder): void {
    const patience = new Promise((resolve) => {
      const timer = setTimeout(resolve, shortMs)
      void ended.then(() => clearTimeout(timer))
    })
    void Promise.race([ended, patience]).then(() => this.prepare(order))
  }

  /** Begins to make one ready for a command like this one, unless there is; more than one where the last was soon before. */
  prepare({ of, key, commandBytes }: ShellOrder): void {
    const nowMs = performance.now()
    const wanted = nowMs - this.#lastTakenAtMs < soonMs ? mostShells : 1
    this.#lastTakenAtMs = nowMs
    if (this.#over || this.#server.unfit !== undefined) return
    const roomBytes = roomFor(commandBytes)
    const fits = (one: Waiting): boolean => one.key === key && one.roomBytes >= roomBytes
    for (const one of this.#waiting.filter((one) => !fits(one))) one.drop()
    this.#waiting = this.#waiting.filter(fits)
    if (roomBytes > mostRoomBytes || !isPlain(of)) return
    while (this.#waiting.length + this.#preparing < wanted) this.#begin(key, roomBytes, of)
  }

  #begin(key: string, roomBytes: number, of: ShellTerms): void {
    this.#preparing++
    this.#make(roomBytes, of)
      .then((ready) => {
        if (ready && this.#over) for (const { pipe } of ready.pipes) pipe.close()
        else if (ready) this.#keep({ ...ready, key, roomBytes })
      })
      .catch(() => {
        // The command that would have had it is forked, and says what is wrong.
      })
      .finally(() => {
        this.#preparing--
      })
  }

  #keep(waiting: Waiting): void {
    this.#waiting.push(waiting)
    // Its slot may have ended it. The next command has another made.
    void waiting.shell.lost.then(() => {
      const at = this.#waiting.indexOf(waiting)
      if (at === -1) return
      this.#waiting.splice(at, 1)
      waiting.drop()
    })
  }

  async #make(roomBytes: number, { cwd, env, mergeStderr, terms }: ShellTerms): Promise<ReadyShell | undefined> {
    const group = await this.#group()
    if (!group) return undefined
    const pipes: NamedPipe[] = []
    let briefing: Briefing
    try {
      pipes.push(await this.#pipes.take())
      if (!mergeStderr) pipes.push(await this.#pipes.take())
      briefing = await this.#briefings.take()
    } catch (error) {
      for (const { pipe } of pipes) pipe.close()
      group.leave()
      throw error
    }
    const [out, err] = pipes as [NamedPipe, NamedPipe?]
    const shell = this.#server.prepare(roomBytes, briefing, {
      cwd,
      env,
      terms: { ...terms, joinFiles: group.joinFiles },
      stdoutPath: out.path,
      ...(err ? { stderrPath: err.path } : {}),
    })
    void shell.ended.then(() => this.#briefings.takeBack(briefing, shell.isBriefed))
    const drop = (): void => {
      shell.drop()
      void shell.ended.then(() => {
        for (const { pipe } of pipes) pipe.close()
        group.leave()
      })
    }
    return { shell, pipes, group, drop }
  }
}

function keyOf({ cwd, env, mergeStderr, terms }: ShellTerms): string {
  const entries = Object.entries(env)
  const id = entries.pop()?.[1] ?? ''
  return JSON.stringify([cwd, entries, id.length, mergeStderr, resourceLimitsText(terms)])
}

function roomFor(commandBytes: number): number {
  let roomBytes = leastRoomBytes
  while (roomBytes < commandBytes) roomBytes *= 2
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

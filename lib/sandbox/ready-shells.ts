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

/** Within what time of the last a command is one of a row, for which as many shells are kept ready as the row is long, up to a bound. */
const soonMs = 50
const mostShells = 8
/** Where a row goes on, more than so many are only made again when it rests: a shell takes longer to start than a short command to run. */
const fewShells = 2
const restMs = 10
/** After so long without a command one is enough. */
const keptMs = 10_000

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
  /** How many commands have followed one another, and when the last was launched. */
  #row = 0
  #lastAtMs = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined
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
      clearTimeout(this.#timer)
      for (const { pipe } of this.#waiting.splice(0).flatMap(({ pipes }) => pipes)) pipe.close()
    })
  }

  /** The shell that waits for such a command. It is the caller's then. */
  take({ key, commandBytes }: ShellOrder): ReadyShell | undefined {
    const at = this.#waiting.findIndex((one) => one.key === key && commandBytes <= one.roomBytes)
    return at === -1 ? undefined : this.#waiting.splice(at, 1)[0]
  }

  /** Makes one ready for a command like this one. */
  prepare(order: ShellOrder): void {
    if (this.#isFor(order)) void this.#begin(order)
  }

  /** Sees to it that there will be shells for commands like this one, which was launched and ends with `ended`. */
  refill(order: ShellOrder, ended: Promise<unknown>): void {
    const nowMs = performance.now()
    this.#row = nowMs - this.#lastAtMs < soonMs ? this.#row + 1 : 1
    this.#lastAtMs = nowMs
    clearTimeout(this.#timer)
    if (!this.#isFor(order)) return
    if (this.#coming < Math.min(this.#row, fewShells)) void shortly(ended).then(() => this.prepare(order))
    this.#timer = setTimeout(() => this.#rest(order), restMs).unref()
  }

  /** Drops those that are not for such a command. False where none can be made ready for it. */
  #isFor({ of, key, commandBytes }: ShellOrder): boolean {
    if (this.#over || this.#server.unfit !== undefined) return false
    const roomBytes = roomFor(commandBytes)
    const fits = (one: Waiting): boolean => one.key === key && one.roomBytes >= roomBytes
    for (const one of this.#waiting.filter((one) => !fits(one))) one.drop()
    this.#waiting = this.#waiting.filter(fits)
    return roomBytes <= mostRoomBytes && isPlain(of)
  }

  get #coming(): number {
    return this.#waiting.length + this.#preparing
  }

  /** Makes up for a row of commands, one shell after the other; when no command comes for long, keeps but one. */
  #rest(order: ShellOrder): void {
    void this.#fill(order, this.#lastAtMs)
    this.#timer = setTimeout(() => {
      for (const one of this.#waiting.splice(1)) one.drop()
    }, keptMs).unref()
  }

  /** As long as no command has come, and none of them is lost. */
  async #fill(order: ShellOrder, sinceMs: number): Promise<void> {
    while (this.#lastAtMs === sinceMs && this.#coming < Math.min(this.#row, mostShells) && this.#isFor(order)) {
      const shell = (await this.#begin(order))?.shell
      if (!shell || !(await Promise.race([shell.begun.then(() => true), shell.lost.then(() => false)]))) return
    }
  }

  /** Begins to make one. */
  async #begin({ of, key, commandBytes }: ShellOrder): Promise<ReadyShell | undefined> {
    const roomBytes = roomFor(commandBytes)
    this.#preparing++
    try {
      const ready = await this.#make(roomBytes, of)
      if (ready && this.#over) for (const { pipe } of ready.pipes) pipe.close()
      else if (ready) this.#keep({ ...ready, key, roomBytes })
      return ready
    } catch {
      // The command that would have had it is forked, and says what is wrong.
      return undefined
    } finally {
      this.#preparing--
    }
  }

  #keep(waiting: Waiting): void {
    this.#waiting.push(waiting)
    // Its slot may have ended it, or woken it before its time. The next command has another made.
    void Promise.race([waiting.shell.lost, waiting.shell.ended]).then(() => {
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

/** When it has ended, or takes its time. */
function shortly(ended: Promise<unknown>): Promise<unknown> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, shortMs)
    void ended.then(() => {
      clearTimeout(timer)
      resolve(undefined)
    })
  })
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
    Object.entries(env)
      .slice(0, -1)
      .every(([name, value]) => (name === 'LANG' ? value === 'C.UTF-8' : !startsOtherwise.test(name)))
  )
}

import type { Briefing } from './briefing.ts'
import type { ForkServerRequest } from './fork-server-program.ts'
import { type ForkedEnd, ForkedProcess } from './forked.ts'
import { ShellMemory } from './shell-memory.ts'

/** A command that has not begun so long after it was given may have a shell that was stopped by its slot. */
const resumeMs = 20
/** A shell that still does not listen so long afterwards is ended, and its command forked. */
const deafMs = 1_000

/** What a shell is made ready by. */
export interface ShellParts {
  /** What the fork server knows it by. */
  number: number
  /** The process that has forked it. */
  parent: number
  /** Kept for its command. */
  roomBytes: number
  briefing: Briefing
  /** Asks the fork server for something of this shell. */
  ask: (what: ForkServerRequest, ...fields: string[]) => void
  /** Called with the reason when a shell cannot be given its command. */
  onUnfit: (reason: string) => void
}

/** A shell in the slot that waits for its command; see `forkServerProgram`. */
export class PreparedShell extends ForkedProcess {
  /** Resolves when it can be given no command any more before it had one, and never else. One that it is given all the same is forked. */
  readonly lost: Promise<void>
  readonly #parts: ShellParts
  #memory: ShellMemory | undefined
  #command: [entry: string, command: string] | undefined
  /** It has its command, as far as is known. */
  #told = false
  #isLost = false
  #isBegunAnew = false
  #resume: NodeJS.Timeout | undefined
  #onLost!: () => void

  constructor(parts: ShellParts) {
    super()
    this.#parts = parts
    this.lost = new Promise((resolve) => {
      this.#onLost = resolve
    })
  }

  /** Whether what it was briefed by may brief another: it has been read. */
  get isBriefed(): boolean {
    return this.#told
  }

  /** Hands over the command, once. `entry` is the last of its environment. */
  run(entry: string, command: string): void {
    this.#command = [entry, command]
    if (this.#isLost) this.#runInstead()
    else if (this.#memory) this.#handOver()
    else this.#listenSoon()
  }

  /** Ends it, instead. */
  drop(): void {
    this.#parts.ask('drop')
  }

  /** It waits now. */
  waits(pid: number): void {
    if (this.#isLost) return
    const { parent, roomBytes, onUnfit } = this.#parts
    try {
      this.#memory = ShellMemory.open(pid, parent, roomBytes)
    } catch (error) {
      onUnfit((error as Error).message)
    }
    if (!this.#memory) {
      this.lose()
      return
    }
    super.begin(pid)
    if (this.#command) this.#handOver()
  }

  /** It has ended without having begun its command. */
  lose(): void {
    this.#told = false
    this.#isLost = true
    this.#forget()
    if (this.#command) this.#runInstead()
    else this.#onLost()
  }

  /** Its command is run by another. */
  override begin(pid: number): void {
    this.#isBegunAnew = true
    super.begin(pid)
  }

  override end(end: ForkedEnd): void {
    this.#forget()
    // It was woken by somebody else, and ended without the command that it was about to have.
    const unrun = this.#command !== undefined && !this.#told && !this.#isBegunAnew && end.unstarted === ''
    super.end(unrun ? { ...end, unstarted: 'failed its shell was woken and ended by a process of the slot' } : end)
  }

  #listenSoon(): void {
    clearTimeout(this.#resume)
    this.#resume = setTimeout(() => this.#listen(), resumeMs).unref()
  }

  /** It goes on, if it was stopped; where it does not wait yet, it is done without, if that does not help. */
  #listen(): void {
    this.#parts.ask('resume')
    if (this.#told) return
    this.#resume = setTimeout(() => {
      this.#isLost = true
      this.#runInstead()
    }, deafMs).unref()
  }

  /** All at once: in between it would be another shell than it says. */
  #handOver(): void {
    const [entry, command] = this.#command as [string, string]
    try {
      this.#memory?.setCommand(command)
      this.#memory?.setEntry(entry)
      this.#parts.briefing.give(this.#whatToSet(entry, command))
      this.#told = true
      // From now on it takes the time that its command takes, however late it came to where it waits.
      this.#listenSoon()
    } catch {
      // It has ended, and the fork server is about to say so; or it is ended for this.
      this.#isLost = true
      this.#runInstead()
    }
    this.#memory?.close()
    this.#memory = undefined
  }

  /** A script that fails when it was run to its end by the shell that it is for, and by no other: an old one or a part of one is none. */
  #whatToSet(entry: string, command: string): string {
    const { number } = this.#parts
    const quoted = command.replaceAll("'", "'\\''")
    const settings = `unset BASH_ENV\nexport ${entry}\nSECONDS=0\nBASH_EXECUTION_STRING='${quoted}'\n`
    return `[[ $1 == ${number} ]] || exit\n${settings}[[ $1 != ${number} ]]; return\n`
  }

  #runInstead(): void {
    clearTimeout(this.#resume)
    this.#parts.ask('run', ...(this.#command as [string, string]))
  }

  #forget(): void {
    clearTimeout(this.#resume)
    this.#memory?.close()
    this.#memory = undefined
  }
}

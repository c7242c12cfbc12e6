import { closeSync, openSync, readFileSync, readSync, writeSync } from 'node:fs'
import { placeholder } from './fork-server-program.ts'

/** The memory of a shell that waits for its command: where its arguments and its environment lie. */
export class ShellMemory {
  readonly #fd: number
  readonly #roomBytes: number
  /** Where the room for the command begins, and the entry of the environment that gives way to another. */
  readonly #commandAt: number
  readonly #entryAt: number

  /** @throws {Error} when it cannot be read and written, or does not hold what it was started with. */
  static open(pid: number, roomBytes: number): ShellMemory {
    const fd = openSync(`/proc/${pid}/mem`, 'r+')
    try {
      return new ShellMemory(fd, pid, roomBytes)
    } catch (error) {
      closeSync(fd)
      throw error
    }
  }

  private constructor(fd: number, pid: number, roomBytes: number) {
    this.#fd = fd
    this.#roomBytes = roomBytes
    // Fields 48 to 51 of proc_pid_stat(5); the second, in parentheses, may be of any text.
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(') ') + 2).split(' ')
    const [args = 0, argsEnd = 0, env = 0, envEnd = 0] = fields.slice(45, 49).map(Number)
    const commandAt = this.#read(args, argsEnd).indexOf(this.#filled(placeholder, ' '))
    // It is none of the first: every slot has variables of its own.
    const entryAt = this.#read(env, envEnd).indexOf('\0BASH_ENV=')
    if (commandAt === -1 || entryAt === -1) throw new Error('its arguments are not where they should be')
    this.#commandAt = args + commandAt
    this.#entryAt = env + entryAt + 1
    this.setCommand(placeholder)
  }

  /** Puts a command over the room, and NULs over what is left of it. @throws {Error} when it cannot be written. */
  setCommand(command: string): void {
    this.#write(this.#filled(command, '\0'), this.#commandAt)
  }

  /** Puts an entry over the last of the environment, which was made as long. @throws {Error} when it cannot be written. */
  setEntry(entry: string): void {
    this.#write(Buffer.from(entry), this.#entryAt)
  }

  close(): void {
    closeSync(this.#fd)
  }

  #filled(command: string, filling: ' ' | '\0'): Buffer {
    const name = Buffer.from('\0bash\0')
    const bytes = Buffer.alloc(this.#roomBytes + name.length, filling)
    const length = bytes.write(command)
    name.copy(bytes, filling === ' ' ? this.#roomBytes : length)
    return bytes
  }

  #read(from: number, to: number): Buffer {
    const bytes = Buffer.alloc(to - from)
    return bytes.subarray(0, readSync(this.#fd, bytes, 0, bytes.length, from))
  }

  #write(bytes: Buffer, at: number): void {
    if (writeSync(this.#fd, bytes, 0, bytes.length, at) !== bytes.length) throw new Error('its memory was not written')
  }
}

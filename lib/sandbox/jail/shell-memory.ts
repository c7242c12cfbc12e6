import { closeSync, openSync, readFileSync, readSync, writeSync } from 'node:fs'
import { placeholder } from './fork-server-program.ts'

/** More than the arguments and the environment of any command; a shell's tenant has a say in where they are said to be. */
const mostBytes = 2 * 1024 * 1024

/** The memory of a shell that waits for its command: where its arguments and its environment lie. */
export class ShellMemory {
  readonly #fd: number
  readonly #roomBytes: number
  /** Where the room for the command begins, and the entry of the environment that gives way to another. */
  readonly #commandAt: number
  readonly #entryAt: number

  /**
   * Undefined when the shell has ended: its process id may be that of a process with another parent by now.
   *
   * @throws {Error} when its memory cannot be read and written, or does not hold what it was started with.
   */
  static open(pid: number, parent: number, roomBytes: number): ShellMemory | undefined {
    let fd: number | undefined
    try {
      fd = openSync(`/proc/${pid}/mem`, 'r+')
      // The second field of proc_pid_stat(5), in parentheses, may be of any text.
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
      const fields = stat.slice(stat.lastIndexOf(') ') + 2).split(' ')
      if (Number(fields[1]) === parent) return new ShellMemory(fd, fields.slice(45, 49).map(Number), roomBytes)
    } catch (error) {
      if (!['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) {
        if (fd !== undefined) closeSync(fd)
        throw error
      }
    }
    if (fd !== undefined) closeSync(fd)
    return undefined
  }

  /** `bounds` are the fields 48 to 51: where its arguments begin and end, and its environment. */
  private constructor(fd: number, bounds: readonly number[], roomBytes: number) {
    this.#fd = fd
    this.#roomBytes = roomBytes
    const [args = 0, argsEnd = 0, env = 0, envEnd = 0] = bounds
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
    if (to < from || to - from > mostBytes) throw new Error(`got ${to - from} bytes of arguments, expected at most ${mostBytes}`)
    const bytes = Buffer.alloc(to - from)
    return bytes.subarray(0, readSync(this.#fd, bytes, 0, bytes.length, from))
  }

  #write(bytes: Buffer, at: number): void {
    if (writeSync(this.#fd, bytes, 0, bytes.length, at) !== bytes.length) throw new Error('its memory was not written')
  }
}

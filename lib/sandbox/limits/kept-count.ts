import { closeSync, openSync, readSync } from 'node:fs'
import { countIn } from './group-folder.ts'

const buffer = Buffer.alloc(4096)

/**
 * A number from a file of a group, of lines `name number`, that is asked for again and again: the file stays open. It is read without waiting, since
 * the kernel makes up such a file in less time than it takes to ask for it and be told later.
 */
export class KeptCount {
  readonly #file: string
  readonly #name: string
  #fd: number | undefined
  #closed = false

  constructor(file: string, name: string) {
    this.#file = file
    this.#name = name
  }

  /** 0 where there is no such file, or no such group any more. */
  now(): number {
    if (this.#closed) return 0
    try {
      this.#fd ??= openSync(this.#file, 'r')
      return countIn(buffer.toString('latin1', 0, readSync(this.#fd, buffer, 0, buffer.length, 0)), this.#name)
    } catch {
      return 0
    }
  }

  close(): void {
    this.#closed = true
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
  }
}

import { posix } from 'node:path'
import { SlotpoolError } from '../../errors.ts'
import { type FileEntry, maxNameBytes } from '../../wire/files.ts'

/** How `find` is told to describe each path: what it is, the path below where it began, and where a link points to. */
export const listingFormat = '%y %s %m %T@\\0%P\\0%l\\0'

/** Longer than the longest path of a folder nested far deeper than a path may be. */
const maxFieldBytes = 64 * 1024
const factsPattern = /^([A-Za-z]) ([0-9]{1,16}) ([0-7]{1,4}) (-?[0-9]{1,12})(?:\.([0-9]{1,10}))?$/
const types = new Map<string, FileEntry['type']>([
  ['f', 'file'],
  ['d', 'folder'],
  ['l', 'link'],
])

/** Reads what `find` prints, as it comes. It may be the slot's own `find`, so nothing else than a listing within its bounds is taken. */
export class ListingReader {
  readonly entries: FileEntry[] = []
  readonly #path: string
  readonly #maxEntries: number
  readonly #utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  #rest: Buffer = Buffer.alloc(0)
  #fields: Buffer[] = []
  #nameBytes = 0

  /** `path` is where `find` began, as the caller named it. */
  constructor(path: string, maxEntries: number) {
    this.#path = path
    this.#maxEntries = maxEntries
  }

  /** @throws {SlotpoolError} `FILE_TOO_LARGE` beyond a bound; `FILE_FAILED` when it is no listing. */
  push(chunk: Buffer): void {
    let rest = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk
    for (let end = rest.indexOf(0); end !== -1; end = rest.indexOf(0)) {
      if (end > maxFieldBytes) throw this.#notListing(`a field of ${end} bytes`)
      this.#take(rest.subarray(0, end))
      rest = rest.subarray(end + 1)
    }
    if (rest.length > maxFieldBytes) throw this.#notListing('a field without an end')
    this.#rest = Buffer.from(rest)
  }

  /** All that was listed, by path. @throws {SlotpoolError} `FILE_FAILED` when it stopped in the middle. */
  end(): FileEntry[] {
    if (this.#rest.length > 0 || this.#fields.length > 0) throw this.#notListing('half an entry')
    return this.entries.sort((a, b) => (a.path < b.path ? -1 : 1))
  }

  #take(field: Buffer): void {
    this.#fields.push(Buffer.from(field))
    const [facts, below, target] = this.#fields
    if (!facts || !below || !target) return
    this.#fields = []
    const path = this.#path
    if (this.entries.length === this.#maxEntries) {
      throw new SlotpoolError('FILE_TOO_LARGE', `got more than ${this.#maxEntries} entries in ${path}, expected at most that`, {
        details: { path, maxEntries: this.#maxEntries },
      })
    }
    this.#nameBytes += below.length + target.length
    if (this.#nameBytes > maxNameBytes) {
      throw new SlotpoolError('FILE_TOO_LARGE', `got paths of more than ${maxNameBytes} bytes in ${path}; list its folders one by one`, {
        details: { path, maxNameBytes },
      })
    }
    this.entries.push(this.#entry(facts.toString('latin1'), below, target))
  }

  #entry(facts: string, below: Buffer, target: Buffer): FileEntry {
    const [, kind = '', bytes, mode = '', seconds, fraction = '0'] = factsPattern.exec(facts) ?? []
    if (kind === '' || !Number.isSafeInteger(Number(bytes))) throw this.#notListing(JSON.stringify(facts.slice(0, 80)))
    const [suffix, fits] = this.#decode(below)
    const [pointsTo, targetFits] = this.#decode(target)
    const type = types.get(kind) ?? 'other'
    const path = suffix === '' ? this.#path : this.#path === '.' ? suffix : `${this.#path.replace(/\/+$/, '')}/${suffix}`
    return {
      name: posix.basename(path),
      path,
      type,
      bytes: Number(bytes),
      mode: Number.parseInt(mode, 8),
      modifiedAtMs: Number(seconds) * 1000 + Math.floor(Number(`0.${fraction}`) * 1000),
      ...(type === 'link' ? { target: pointsTo } : {}),
      ...(fits && targetFits ? {} : { notUtf8: true as const }),
    }
  }

  #decode(bytes: Buffer): [text: string, whole: boolean] {
    try {
      return [this.#utf8.decode(bytes), true]
    } catch {
      return [bytes.toString('utf8'), false]
    }
  }

  #notListing(got: string): SlotpoolError {
    const path = this.#path
    const reason = `its tools printed ${got} for a listing (GNU find is needed)`
    return new SlotpoolError('FILE_FAILED', `got path ${path}: ${reason}`, { details: { path, reason } })
  }
}

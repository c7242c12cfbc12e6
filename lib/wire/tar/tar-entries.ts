import { extract, type Header } from 'tar-stream'
import { SlotpoolError } from '../../errors.ts'
import { drained } from '../drained.ts'
import { maxNameBytes, type TarBounds } from '../files.ts'
import { HeaderGate } from './header-gate.ts'

const blockBytes = 512
/** Room for what stands around a file in a tar: its header, a long name, the padding of its last block. */
const roomPerEntry = 16 * 1024
const pathMax = 4095

/** One file, folder or link of a tar, checked. */
export interface TarEntry {
  /** From the folder that is unpacked into: no empty part, no `.` and no `..`, and never through a link of the same tar. Empty: that folder itself. */
  path: string
  type: 'file' | 'folder' | 'link' | 'hardlink' | 'other'
  /** The length of a file; 0 for all else. */
  bytes: number
  /** The permission bits, without setuid, setgid and sticky. */
  mode: number
  modified: Date
  /** Of a link as it is written, of a hard link the path of an earlier file of the same tar; else empty. */
  target: string
  /** The bytes of a file, to be read to their end before the next entry is asked for. */
  content: AsyncIterable<Buffer>
}

/**
 * Reads a tar that nobody vouches for, in constant memory and no faster than its entries are taken. What could lead out of the folder that
 * it is unpacked into is refused by its headers, before its content: absolute paths, `..`, paths through a link, hard links to anything but
 * an earlier file.
 *
 * `encoding` is how paths and targets are given: `utf-8`, which refuses what is not UTF-8, or `latin1`, each byte of it as a character.
 *
 * @throws {SlotpoolError} `FILE_TOO_LARGE` beyond a bound; `FILE_FAILED` when it is no tar, is cut short, compressed or sparse, or an entry is refused.
 */
export async function* tarEntries(
  source: AsyncIterable<Uint8Array>,
  { maxBytes, maxEntries }: TarBounds,
  encoding: 'utf-8' | 'latin1' = 'utf-8',
): AsyncGenerator<TarEntry> {
  // An option that its documentation has, and its types lack.
  const parser = extract({ filenameEncoding: encoding } as Parameters<typeof extract>[0])
  const measure = new Measure(maxBytes + maxEntries * roomPerEntry + 1024 * 1024)
  let failure: unknown
  const feeding = feed(source, parser, measure).catch((error) => {
    failure ??= error
    parser.destroy(error as Error)
  })
  const checks = new EntryChecks()
  let entries = 0
  let bytes = 0
  let end = 0
  try {
    for await (const one of parser) {
      const header = one.header as Header & { byteOffset?: number }
      const entry = checks.check(header, encoding)
      entries++
      bytes += entry.bytes
      if (entries > maxEntries) throw tooLarge(`more than ${maxEntries} entries`, `at most ${maxEntries}`)
      if (bytes > maxBytes) throw tooLarge(`files of ${bytes} bytes or more together, up to ${shown(entry.path)}`, `at most ${maxBytes}`)
      end = (header.byteOffset ?? 0) + Math.ceil((header.size ?? 0) / blockBytes) * blockBytes
      yield { ...entry, content: contentOf(one as unknown as AsyncIterable<Buffer>, () => failure) }
      // What was not read of it is passed over.
      one.resume()
    }
    await feeding
    if (failure) throw failure
    measure.requireEnd(end)
  } catch (error) {
    throw asTarError(failure ?? error)
  } finally {
    parser.destroy(null)
  }
}

/** The bytes of one entry. A tar that ends in the middle of them fails here. */
async function* contentOf(entry: AsyncIterable<Buffer>, failure: () => unknown): AsyncGenerator<Buffer> {
  try {
    yield* entry
  } catch (error) {
    throw asTarError(failure() ?? error)
  }
}

async function feed(source: AsyncIterable<Uint8Array>, parser: ReturnType<typeof extract>, measure: Measure): Promise<void> {
  const gate = new HeaderGate(parser, refused)
  for await (const chunk of source) {
    measure.add(chunk)
    for await (const piece of gate.pieces(chunk)) {
      if (parser.destroyed) return
      if (!parser.write(piece)) await drained(parser)
    }
    if (parser.destroyed) return
  }
  if (gate.rest.length > 0) parser.write(gate.rest)
  parser.end(null)
}

/** Counts the bytes of a tar, and knows whether its end was among them. */
class Measure {
  readonly #max: number
  #bytes = 0
  /** One past the last byte that is not zero. */
  #written = 0

  constructor(max: number) {
    this.#max = max
  }

  add(chunk: Uint8Array): void {
    if (this.#bytes === 0 && chunk[0] === 0x1f) throw refused('something compressed', 'a tar that is not compressed')
    let last = chunk.length - 1
    while (last >= 0 && chunk[last] === 0) last--
    if (last >= 0) this.#written = this.#bytes + last + 1
    this.#bytes += chunk.length
    if (this.#bytes > this.#max) throw tooLarge(`a tar of more than ${this.#max} bytes`, 'less')
  }

  /** A tar ends with blocks of zeros. `end` is where its last entry does. */
  requireEnd(end: number): void {
    const last = Math.max(end, Math.ceil(this.#written / blockBytes) * blockBytes)
    if (this.#bytes - last < blockBytes) {
      throw refused(`${this.#bytes} bytes without the end of a tar`, 'a whole tar: it was cut short, or is none')
    }
  }
}

/** What has to be remembered of earlier entries to judge a later one. */
class EntryChecks {
  readonly #links = new Set<string>()
  readonly #files = new Set<string>()
  #nameBytes = 0

  check(header: Header, encoding: 'utf-8' | 'latin1'): Omit<TarEntry, 'content'> {
    const type = typeOf(header)
    const { name, linkname } = names(header, encoding)
    const path = this.#path(name, 'an entry')
    if (encoding === 'utf-8' && path.includes('\ufffd')) throw refused(`an entry ${shown(path)} whose name is not UTF-8`, 'UTF-8')
    this.#forbidLinks(path)
    let target = ''
    if (type === 'link') {
      target = linkname
      if (target === '' || target.includes('\0') || target.length > pathMax) throw refused(`a link ${shown(path)} to nowhere`, 'a target')
    }
    if (type === 'hardlink') {
      target = this.#path(linkname, `the target of the hard link ${shown(path)}`)
      if (!this.#files.has(target)) {
        throw refused(`a hard link ${shown(path)} to ${shown(target)}`, 'one to a file that stands before it in the tar')
      }
    }
    if (path === '' && type !== 'folder') throw refused('an entry without a name', 'a path in the folder')
    this.#remember(path, type, target)
    const mode = (header.mode ?? 0o644) & 0o777
    const seconds = header.mtime?.getTime() ?? 0
    const modified = new Date(Number.isFinite(seconds) ? Math.max(0, Math.min(seconds, 8_000_000_000_000)) : 0)
    return { path, type, bytes: type === 'file' ? (header.size ?? 0) : 0, mode, modified, target }
  }

  #remember(path: string, type: TarEntry['type'], target: string): void {
    this.#links.delete(path)
    this.#files.delete(path)
    if (type === 'link') this.#links.add(path)
    if (type === 'file' || type === 'hardlink') this.#files.add(path)
    this.#nameBytes += path.length + target.length
    if (this.#nameBytes > maxNameBytes) throw tooLarge(`names of more than ${maxNameBytes} bytes`, 'less')
  }

  #path(name: string, what: string): string {
    if (name.startsWith('/')) throw refused(`${what} with the absolute path ${shown(name)}`, 'a path in the folder')
    const parts = name.split('/').filter((part) => part !== '' && part !== '.')
    if (parts.includes('..')) throw refused(`${what} with the path ${shown(name)}`, 'one without `..`')
    const path = parts.join('/')
    if (path.includes('\0') || Buffer.byteLength(path) > pathMax) throw refused(`${what} of ${path.length} characters`, 'a path')
    return path
  }

  #forbidLinks(path: string): void {
    if (this.#links.size === 0) return
    for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1)) {
      const above = path.slice(0, at)
      if (this.#links.has(above)) throw refused(`an entry ${shown(path)} below ${shown(above)}, a link`, 'one below a folder')
    }
  }
}

function typeOf(header: Header): TarEntry['type'] {
  const sparse = Object.keys(header.pax ?? {}).some((key) => key.startsWith('GNU.sparse'))
  if (sparse) throw refused(`a sparse file ${shown(header.name)}`, 'files without holes (`tar` without `--sparse`)')
  switch (header.type as string | null | undefined) {
    case 'file':
    case 'contiguous-file':
      // Tars of old tell folders by a slash.
      return header.name.endsWith('/') ? 'folder' : 'file'
    case 'directory':
      return 'folder'
    case 'symlink':
      return 'link'
    case 'link':
      return 'hardlink'
    case 'character-device':
    case 'block-device':
    case 'fifo':
      return 'other'
    default:
      throw refused(`an entry ${shown(header.name)} of an unknown or sparse kind`, 'files, folders and links')
  }
}

/** Those in a header of their own are always read as UTF-8. */
function names(header: Header, encoding: 'utf-8' | 'latin1'): { name: string; linkname: string } {
  const pax = header.pax as { path?: string; linkpath?: string } | null | undefined
  const linkname = header.linkname ?? ''
  if (encoding === 'utf-8') return { name: header.name, linkname }
  const asBytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1')
  return { name: pax?.path ? asBytes(pax.path) : header.name, linkname: pax?.linkpath ? asBytes(pax.linkpath) : linkname }
}

function refused(got: string, expected: string): SlotpoolError {
  return new SlotpoolError('FILE_FAILED', `got ${got}, expected ${expected}`, { details: { reason: got } })
}

function tooLarge(got: string, expected: string): SlotpoolError {
  return new SlotpoolError('FILE_TOO_LARGE', `got ${got}, expected ${expected}`)
}

function shown(name: string): string {
  // Where it is given as bytes they are mostly UTF-8.
  const text = Buffer.from(name, 'latin1').toString('utf8')
  if (!text.includes('\ufffd') && Buffer.from(text).toString('latin1') === name) name = text
  return JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}…` : name)
}

/** What the parser says of bytes that are no tar. */
function asTarError(error: unknown): SlotpoolError {
  if (error instanceof SlotpoolError) return error
  const reason = (error as Error).message
  return new SlotpoolError('FILE_FAILED', `got no whole tar: ${reason}`, { cause: error, details: { reason } })
}

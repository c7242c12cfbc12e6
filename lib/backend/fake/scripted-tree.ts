import { posix } from 'node:path'
import { SlotpoolError } from '../../errors.ts'
import { checkFilePath } from '../../wire/file-path.ts'
import type { FileEntry } from '../../wire/files.ts'

/** More links than any path has that leads somewhere. */
const maxLinks = 40

interface Facts {
  content: Buffer
  mode: number
  modifiedAtMs: number
}

/** The files of one scripted slot, in memory. Scripts read and change `files`; a folder is what was made as one, or has something in it. */
export class ScriptedTree {
  readonly files = new Map<string, Buffer>()
  readonly folders = new Set<string>()
  readonly links = new Map<string, string>()
  readonly #facts = new Map<string, Facts>()
  readonly #workspace: string
  readonly #madeAtMs = Date.now()

  constructor(workspace: string) {
    this.#workspace = workspace
    this.folders.add(workspace)
  }

  /** All absolute paths but those of folders that nobody made. */
  paths(): string[] {
    return [...this.files.keys(), ...this.folders, ...this.links.keys()]
  }

  kind(place: string): 'file' | 'folder' | 'link' | undefined {
    if (this.links.has(place)) return 'link'
    if (this.files.has(place)) return 'file'
    const below = place === '/' ? '/' : `${place}/`
    return place === '/' || this.folders.has(place) || this.paths().some((one) => one.startsWith(below)) ? 'folder' : undefined
  }

  /** Where a path leads; the last part is followed too where it is a link, unless `last` is false. */
  place(path: string, last = true): string {
    checkFilePath(path)
    let rest = posix
      .join(path.startsWith('/') ? '/' : this.#workspace, path)
      .split('/')
      .filter(Boolean)
    let place = '/'
    for (let links = 0; rest.length > 0; ) {
      const [part = '', ...after] = rest
      rest = after
      const next = posix.join(place, part)
      const target = rest.length > 0 || last ? this.links.get(next) : undefined
      if (target === undefined) place = next
      else {
        if (links++ === maxLinks) throw this.notFound(path)
        if (target.startsWith('/')) place = '/'
        rest = [...target.split('/').filter((one) => one !== '' && one !== '.'), ...rest]
      }
    }
    return place
  }

  /** Puts a file, and the folders above it. */
  put(place: string, content: Buffer, mode?: number, modifiedAtMs = Date.now()): void {
    this.makeFolder(posix.dirname(place))
    const before = this.mode(place)
    this.links.delete(place)
    this.files.set(place, content)
    this.#facts.set(place, { content, mode: mode ?? before, modifiedAtMs })
  }

  /** @throws {SlotpoolError} `FILE_FAILED` when something else is in its way. */
  makeFolder(place: string): void {
    for (let above = place; above !== '/'; above = posix.dirname(above)) {
      const kind = this.kind(above)
      if (kind !== undefined && kind !== 'folder') throw this.refused(place, `${above} is no folder`)
    }
    for (let above = place; above !== '/'; above = posix.dirname(above)) this.folders.add(above)
  }

  remove(place: string): void {
    for (const one of this.paths()) {
      if (one !== place && !one.startsWith(`${place}/`)) continue
      this.files.delete(one)
      this.folders.delete(one)
      this.links.delete(one)
    }
  }

  /** What is at a place, under the path that the caller used for it. */
  entry(place: string, path: string): FileEntry {
    const kind = this.kind(place)
    if (kind === undefined) throw this.notFound(path)
    const target = this.links.get(place)
    const facts = this.#factsOf(place)
    return {
      name: posix.basename(path),
      path,
      type: kind,
      bytes: this.files.get(place)?.length ?? Buffer.byteLength(target ?? ''),
      mode: kind === 'folder' ? 0o755 : kind === 'link' ? 0o777 : this.mode(place),
      modifiedAtMs: facts?.modifiedAtMs ?? this.#madeAtMs,
      ...(target === undefined ? {} : { target }),
    }
  }

  mode(place: string): number {
    return this.#factsOf(place)?.mode ?? 0o644
  }

  notFound(path: string): SlotpoolError {
    return new SlotpoolError('FILE_NOT_FOUND', `got path ${path}: no such file`, { details: { path } })
  }

  refused(path: string, reason: string): SlotpoolError {
    return new SlotpoolError('FILE_FAILED', `got path ${path}: ${reason}`, { details: { path, reason } })
  }

  /** A script may have put another file in its place. */
  #factsOf(place: string): Facts | undefined {
    const facts = this.#facts.get(place)
    return facts && facts.content === this.files.get(place) ? facts : undefined
  }
}

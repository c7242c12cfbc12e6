import { posix } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { SlotpoolError } from '../../errors.ts'
import type { FileSlot, FileSystem, ListBounds } from '../../sandbox/files/file-system.ts'
import type { WriteOptions } from '../../sandbox/files/write-file.ts'
import type { Jail } from '../../sandbox/jail/jail.ts'
import { type FileEntry, maxFileBytes, type TarBounds, type TarResult } from '../../wire/files.ts'
import { type TarEntry, tarEntries } from '../../wire/tar/tar-entries.ts'
import { type TarMember, writeTar } from '../../wire/tar/tar-writer.ts'
import { ScriptedTree } from './scripted-tree.ts'

/** The files of scripted slots, held in memory for as long as their slot's lease. They fail where those of a real slot would. */
export class ScriptedFiles implements FileSystem {
  readonly #workspace: string
  readonly #trees = new WeakMap<Jail, ScriptedTree>()

  constructor(workspace: string) {
    this.#workspace = workspace
  }

  treeOf(jail: Jail): ScriptedTree {
    let tree = this.#trees.get(jail)
    if (!tree) {
      tree = new ScriptedTree(this.#workspace)
      this.#trees.set(jail, tree)
    }
    return tree
  }

  async read({ jail }: FileSlot, path: string): Promise<Readable> {
    const tree = this.treeOf(jail)
    const place = tree.place(path)
    if (tree.kind(place) === 'folder') throw tree.refused(path, 'not a regular file')
    const content = tree.files.get(place)
    if (!content) throw tree.notFound(path)
    return Readable.from([content])
  }

  async write({ jail }: FileSlot, path: string, content: Readable, { bytes, mode }: WriteOptions): Promise<void> {
    const tree = this.treeOf(jail)
    const place = posix.join(tree.place(posix.dirname(path)), posix.basename(path))
    if (tree.kind(tree.place(path)) === 'folder') throw tree.refused(path, 'it is a folder')
    if (bytes !== undefined && bytes > maxFileBytes) {
      throw new SlotpoolError('FILE_TOO_LARGE', `got a file of ${bytes} bytes, expected at most ${maxFileBytes}`, { details: { path } })
    }
    const whole = await buffer(content)
    if (bytes !== undefined && whole.length !== bytes) throw tree.refused(path, 'the content was cut short')
    tree.put(place, whole, mode)
  }

  async list({ jail }: FileSlot, path: string, { recursive, maxEntries }: ListBounds): Promise<FileEntry[]> {
    const tree = this.treeOf(jail)
    const place = folderAt(tree, path)
    const found = below(tree, place).filter((one) => recursive || !one.includes('/'))
    if (found.length > maxEntries) {
      throw new SlotpoolError('FILE_TOO_LARGE', `got more than ${maxEntries} entries in ${path}, expected at most that`, {
        details: { path, maxEntries },
      })
    }
    const start = path === '.' ? '' : `${path.replace(/\/+$/, '')}/`
    return found.map((one) => tree.entry(posix.join(place, one), `${start}${one}`)).sort((a, b) => (a.path < b.path ? -1 : 1))
  }

  async stat({ jail }: FileSlot, path: string): Promise<FileEntry> {
    const tree = this.treeOf(jail)
    return tree.entry(tree.place(path, false), path)
  }

  async remove({ jail }: FileSlot, path: string, recursive: boolean): Promise<void> {
    const tree = this.treeOf(jail)
    const place = tree.place(path, false)
    const kind = tree.kind(place)
    if (kind === undefined) throw tree.notFound(path)
    if (place === '/' || Object.values(jail.view).includes(place)) throw tree.refused(path, 'it is a folder that the slot consists of')
    if (kind === 'folder' && !recursive && below(tree, place).length > 0) throw tree.refused(path, 'Directory not empty')
    tree.remove(place)
  }

  async makeFolder({ jail }: FileSlot, path: string): Promise<void> {
    const tree = this.treeOf(jail)
    tree.makeFolder(tree.place(path))
  }

  async uploadTar({ jail }: FileSlot, path: string, content: Readable, bounds: TarBounds): Promise<TarResult> {
    const tree = this.treeOf(jail)
    const place = tree.place(path)
    const entries: (Omit<TarEntry, 'content'> & { whole: Buffer })[] = []
    for await (const entry of tarEntries(content.iterator({ destroyOnReturn: false }), bounds)) {
      if (entry.type === 'other') throw tree.refused(entry.path, 'it is a device or a pipe')
      if (entry.path !== '') entries.push({ ...entry, whole: entry.type === 'file' ? await buffer(entry.content) : Buffer.alloc(0) })
    }
    for (const { path: name, type } of entries) {
      const kind = tree.kind(posix.join(place, name))
      if (kind !== undefined && (kind === 'folder') !== (type === 'folder')) throw tree.refused(name, `a ${kind} is in its place`)
    }
    tree.makeFolder(place)
    for (const { path: name, type, whole, mode, modified, target } of entries) {
      const at = posix.join(place, name)
      if (type === 'folder') tree.makeFolder(at)
      else if (type === 'link') {
        tree.makeFolder(posix.dirname(at))
        tree.files.delete(at)
        tree.links.set(at, target)
      } else tree.put(at, type === 'file' ? whole : (tree.files.get(posix.join(place, target)) as Buffer), mode, modified.getTime())
    }
    return { entries: entries.length, bytes: entries.reduce((sum, one) => sum + one.bytes, 0) }
  }

  async downloadTar({ jail }: FileSlot, path: string): Promise<Readable> {
    const tree = this.treeOf(jail)
    const place = tree.place(path)
    const kind = tree.kind(place)
    if (kind === undefined) throw tree.notFound(path)
    const found = kind === 'folder' ? below(tree, place).map((one) => posix.join(place, one)) : [place]
    const from = kind === 'folder' ? place : posix.dirname(place)
    return Readable.from(writeTar(membersOf(tree, from, found.sort())), { objectMode: false })
  }
}

async function* membersOf(tree: ScriptedTree, from: string, places: readonly string[]): AsyncGenerator<TarMember> {
  for (const place of places) {
    const { type, mode, modifiedAtMs, target = '' } = tree.entry(place, place)
    const content = tree.files.get(place) ?? Buffer.alloc(0)
    yield {
      path: posix.relative(from, place),
      type: type as 'file' | 'folder' | 'link',
      bytes: content.length,
      mode,
      modified: new Date(modifiedAtMs),
      target,
      content: Readable.from([content]),
    }
  }
}

function folderAt(tree: ScriptedTree, path: string): string {
  const place = tree.place(path)
  const kind = tree.kind(place)
  if (kind === undefined) throw tree.notFound(path)
  if (kind !== 'folder') throw tree.refused(path, 'not a folder')
  return place
}

/** What is below a folder, with all folders in between, from that folder. */
function below(tree: ScriptedTree, place: string): string[] {
  const found = new Set<string>()
  for (const one of tree.paths()) {
    const from = posix.relative(place, one)
    if (from === '' || from === '..' || from.startsWith('../')) continue
    for (let name = from; name !== '.'; name = posix.dirname(name)) found.add(name)
  }
  return [...found]
}

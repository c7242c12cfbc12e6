import { randomUUID } from 'node:crypto'
import type { Stats } from 'node:fs'
import { chmod, link, lstat, mkdir, open, readdir, rename, rm, rmdir, symlink } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { SlotpoolError } from '../../errors.ts'
import type { TarBounds } from '../../wire/files.ts'
import { type TarEntry, tarEntries } from '../../wire/tar/tar-entries.ts'
import { hostFailure } from './host-failure.ts'
import { leadsOutside } from './link-target.ts'
import { SideBySide } from './side-by-side.ts'

/** Files up to this length are written side by side, while the next ones are read. */
const smallBytes = 64 * 1024

/** What a download brought. */
export interface Downloaded {
  /** Files, folders and links. */
  entries: number
  /** The lengths of the files together. */
  bytes: number
  /** What was left out, by path: empty unless `skipUnsafe` was set. */
  skipped: string[]
}

export interface UnpackOptions extends TarBounds {
  /** Leave out links that lead out of the folder, devices and pipes, instead of refusing all. */
  skipUnsafe: boolean
}

/**
 * Unpacks a tar that may mean harm into a folder of the caller's disk, which is made where it is missing. Files are made anew in a staging
 * folder in which there are no links until all else is there, so nothing is written through one; then moved into place, over files of the
 * same name. Either all of it is there afterwards, or the folder is as it was.
 *
 * @throws {SlotpoolError} `FILE_FAILED`, `FILE_TOO_LARGE` as {@link tarEntries}; `FILE_FAILED` for an unsafe entry.
 */
export async function unpack(source: AsyncIterable<Uint8Array>, folder: string, options: UnpackOptions): Promise<Downloaded> {
  const target = resolve(folder)
  const made = await mkdir(target, { recursive: true }).catch((error) => {
    throw hostFailure(error, target)
  })
  const staging = Buffer.from(`${target}/.slotpool-${randomUUID()}`)
  try {
    await mkdir(staging, { mode: 0o700 })
    const result = await stage(source, staging, options)
    await move(staging, Buffer.from(target), false)
    await move(staging, Buffer.from(target), true)
    await rm(staging, { recursive: true })
    return result
  } catch (error) {
    await rm(staging, { recursive: true, force: true })
    // Only what is empty, and only what was made here.
    for (let at = target; made !== undefined && at.length >= made.length; at = dirname(at)) await rmdir(at).catch(() => {})
    throw hostFailure(error, target)
  }
}

async function stage(source: AsyncIterable<Uint8Array>, staging: Buffer, options: UnpackOptions): Promise<Downloaded> {
  const writing = new SideBySide()
  try {
    return await stageAll(source, new StagingFolder(staging), writing, options)
  } finally {
    // Whoever removes the staging folder must be the last there.
    await writing.end()
  }
}

async function stageAll(
  source: AsyncIterable<Uint8Array>,
  staging: StagingFolder,
  writing: SideBySide,
  options: UnpackOptions,
): Promise<Downloaded> {
  const result: Downloaded = { entries: 0, bytes: 0, skipped: [] }
  const links: { at: Buffer; target: Buffer }[] = []
  for await (const entry of tarEntries(source, options, 'latin1')) {
    if (entry.path === '') continue
    const name = Buffer.from(entry.path, 'latin1')
    const unsafe = unsafeReason(entry)
    if (unsafe !== undefined) {
      if (!options.skipUnsafe) throw refused(name, unsafe)
      result.skipped.push(name.toString('utf8'))
      continue
    }
    result.entries++
    result.bytes += entry.bytes
    const at = staging.path(name)
    if (entry.type === 'folder') {
      await mkdir(at, { recursive: true })
      await chmod(at, entry.mode | 0o700)
      continue
    }
    await staging.makeParent(at)
    if (entry.type === 'file' && entry.bytes <= smallBytes) {
      const content: Buffer[] = []
      for await (const chunk of entry.content) content.push(chunk)
      await writing.start(() => writeNew(at, { ...entry, content }))
    } else if (entry.type === 'file') await writeNew(at, entry)
    else if (entry.type === 'hardlink') {
      // It may be one of those that are being written.
      await writing.end()
      await link(staging.path(Buffer.from(entry.target, 'latin1')), at)
    } else links.push({ at, target: Buffer.from(entry.target, 'latin1') })
  }
  await writing.end()
  for (const { at, target } of links) await symlink(target, at)
  return result
}

/** Where all is put before it is moved. */
class StagingFolder {
  readonly #root: Buffer
  #lastParent: Buffer | undefined

  constructor(root: Buffer) {
    this.#root = root
  }

  path(name: Buffer): Buffer {
    return below(this.#root, name)
  }

  async makeParent(at: Buffer): Promise<void> {
    const parent = at.subarray(0, at.lastIndexOf('/'))
    if (this.#lastParent?.equals(parent)) return
    await mkdir(parent, { recursive: true })
    this.#lastParent = parent
  }
}

function unsafeReason({ type, path, target }: TarEntry): string | undefined {
  if (type === 'other') return 'it is a device or a pipe'
  if (type !== 'link' || !leadsOutside(path, target)) return undefined
  return `it is a link that may lead out of the folder, to ${JSON.stringify(Buffer.from(target, 'latin1').toString('utf8').slice(0, 200))}`
}

/** `wx`: never an existing file, and never through a link. */
async function writeNew(
  at: Buffer,
  { content, mode, modified }: Pick<TarEntry, 'mode' | 'modified'> & { content: AsyncIterable<Buffer> | Buffer[] },
): Promise<void> {
  const file = await open(at, 'wx', mode | 0o600)
  try {
    for await (const chunk of content) {
      for (let written = 0; written < chunk.length; ) written += (await file.write(chunk, written)).bytesWritten
    }
    await file.utimes(modified, modified)
  } finally {
    await file.close()
  }
}

/** Looks whether all of a staged folder fits into `to`, or moves it there. A folder that is there stays and gets what is new in it. */
async function move(from: Buffer, to: Buffer, now: boolean): Promise<void> {
  const all = await readdir(from, { withFileTypes: true, encoding: 'buffer' })
  const moving = new SideBySide()
  try {
    for (const one of all) {
      const [source, target] = [from, to].map((folder) => below(folder, one.name as unknown as Buffer)) as [Buffer, Buffer]
      if (one.isDirectory()) continue
      await moving.start(async () => {
        // What is there by now is no folder, or this fails.
        if (now) await rename(source, target)
        else if ((await lstatOf(target))?.isDirectory()) throw refused(target, 'there is a folder')
      })
    }
  } finally {
    await moving.end()
  }
  for (const one of all) {
    const [source, target] = [from, to].map((folder) => below(folder, one.name as unknown as Buffer)) as [Buffer, Buffer]
    if (!one.isDirectory()) continue
    const there = await lstatOf(target)
    // A link to a folder is none here: an earlier download may have brought it.
    if (there && !there.isDirectory()) throw refused(target, 'there is something else than a folder')
    if (there) await move(source, target, now)
    else if (now) await rename(source, target)
  }
}

async function lstatOf(path: Buffer): Promise<Stats | undefined> {
  return lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
}

function below(folder: Buffer, name: Buffer): Buffer {
  return Buffer.concat([folder, Buffer.from('/'), name])
}

function refused(name: Buffer, reason: string): SlotpoolError {
  const path = name.toString('utf8')
  return new SlotpoolError('FILE_FAILED', `got ${JSON.stringify(path)}: ${reason}; nothing was unpacked`, { details: { path, reason } })
}

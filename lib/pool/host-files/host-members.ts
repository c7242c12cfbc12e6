import { constants } from 'node:fs'
import { type FileHandle, lstat, open, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { SlotpoolError } from '../../errors.ts'
import type { TarMember } from '../../wire/tar/tar-writer.ts'
import { hostFailure } from './host-failure.ts'

const chunkBytes = 256 * 1024

/** A regular file of the caller's disk, open for reading. */
export interface HostFile {
  bytes: number
  mode: number
  modified: Date
  /** Exactly so many bytes, however the file grows meanwhile. Read to its end, or closed by `close`. */
  content: AsyncIterable<Buffer>
  close(): Promise<void>
}

/**
 * Opens a file without waiting for anybody, as opening a pipe would.
 *
 * @throws {SlotpoolError} `FILE_FAILED` when it is no regular file or cannot be opened.
 */
export async function openHostFile(path: string, options: { followLink: boolean }): Promise<HostFile> {
  let handle: FileHandle | undefined
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | (options.followLink ? 0 : constants.O_NOFOLLOW))
    const facts = await handle.stat()
    if (!facts.isFile()) throw unfit(path)
    const opened = handle
    return {
      bytes: facts.size,
      mode: facts.mode & 0o777,
      modified: facts.mtime,
      content: contentOf(opened, path, facts.size),
      close: () => opened.close(),
    }
  } catch (error) {
    await handle?.close()
    throw hostFailure(error, path)
  }
}

/**
 * All that is below a folder of the caller's disk, links as links.
 *
 * @throws {SlotpoolError} `FILE_FAILED` for what is neither file, folder nor link, or cannot be read.
 */
export async function* hostMembers(root: string, below = ''): AsyncGenerator<TarMember> {
  const folder = join(root, below)
  const entries = await readdir(folder, { withFileTypes: true }).catch((error) => {
    throw hostFailure(error, folder)
  })
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`
    const at = join(root, path)
    const base = { path, bytes: 0, target: '', content: nothing() }
    if (entry.isFile()) {
      const { close, ...file } = await openHostFile(at, { followLink: false })
      try {
        yield { ...base, ...file, type: 'file' }
      } finally {
        await close()
      }
      continue
    }
    const facts = await lstat(at).catch((error) => {
      throw hostFailure(error, at)
    })
    const member = { ...base, mode: facts.mode & 0o777, modified: facts.mtime }
    if (facts.isDirectory()) {
      yield { ...member, type: 'folder' }
      yield* hostMembers(root, path)
    } else if (facts.isSymbolicLink()) {
      const target = await readlink(at).catch((error) => {
        throw hostFailure(error, at)
      })
      yield { ...member, type: 'link', target }
    } else throw unfit(at)
  }
}

async function* contentOf(handle: FileHandle, path: string, bytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes; ) {
    const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, bytes - at))
    const { bytesRead } = await handle.read(chunk, 0, chunk.length, at).catch((error) => {
      throw hostFailure(error, path)
    })
    if (bytesRead === 0) throw hostFailure(new Error(`it became shorter than the ${bytes} bytes it had`), path)
    at += bytesRead
    yield chunk.subarray(0, bytesRead)
  }
}

async function* nothing(): AsyncGenerator<Buffer> {}

function unfit(path: string): SlotpoolError {
  const reason = 'it is a device, a pipe or a socket, or not what it was named as'
  return new SlotpoolError('FILE_FAILED', `got ${path}: ${reason}; expected files, folders and links`, { details: { path, reason } })
}

import { stat } from 'node:fs/promises'
import { type Readable, Transform } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import type { SandboxClient } from '../client/sandbox-client.ts'
import { SlotpoolError } from '../errors.ts'
import { type FileEntry, maxEntries, maxFileBytes, type TarBounds, type TarResult } from '../wire/files.ts'
import { writeTar } from '../wire/tar/tar-writer.ts'
import { hostFailure } from './host-files/host-failure.ts'
import { hostMembers, openHostFile } from './host-files/host-members.ts'
import { type Downloaded, unpack } from './host-files/unpack.ts'
import { Sending } from './sending.ts'

/** What `read` holds in memory at most; larger files are streamed. */
const maxReadBytes = 64 * 1024 * 1024

interface Cancellable {
  signal?: AbortSignal
}

/** How a file is written. */
export interface WriteFileOptions extends Cancellable {
  /** Permission bits, 0 to 0o777. Default: those of the file that is replaced, else 0o644. */
  mode?: number
}

export interface ListOptions extends Cancellable {
  /** All folders below it too. Default: false. */
  recursive?: boolean
  /** More are refused with `FILE_TOO_LARGE`, 100,000 at most. Default: 10,000. */
  maxEntries?: number
}

/** What is unpacked at most: more is refused with `FILE_TOO_LARGE` and changes nothing. */
export interface TarOptions extends Cancellable {
  /** The lengths of all files together, 16 GiB at most. Default: 1 GiB. */
  maxBytes?: number
  /** Files, folders and links, 100,000 at most. Default: 100,000. */
  maxEntries?: number
}

export interface DownloadOptions extends TarOptions {
  /** Leave out links that lead out of the folder, devices and pipes, and name them in the result. Default: false, they are refused. */
  skipUnsafe?: boolean
}

/**
 * Files of a slot. Paths are as the slot's own commands see them, relative ones from the workspace, and reach what those commands may
 * reach. Every method throws {@link SlotpoolError}: `FILE_NOT_FOUND`, `FILE_FAILED` with the reason, `FILE_TOO_LARGE`, `LEASE_LOST`,
 * `CANCELLED`, `SERVER_UNREACHABLE`. What could not be done has changed nothing.
 */
export class SlotFiles {
  readonly #client: SandboxClient
  readonly #leaseId: string

  constructor(client: SandboxClient, leaseId: string) {
    this.#client = client
    this.#leaseId = leaseId
  }

  /** A file as text. @throws {SlotpoolError} `FILE_NOT_FOUND`, `FILE_FAILED`, `FILE_TOO_LARGE` beyond 64 MiB. */
  async read(path: string, options: Cancellable = {}): Promise<string> {
    return (await this.readBytes(path, options)).toString('utf8')
  }

  /** A file as bytes. @throws {SlotpoolError} as `read`. */
  async readBytes(path: string, options: Cancellable = {}): Promise<Buffer> {
    const content = await this.readStream(path, options)
    let bytes = 0
    content.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > maxReadBytes)
        content.destroy(new SlotpoolError('FILE_TOO_LARGE', `${path} has more than ${maxReadBytes} bytes; use readStream`))
    })
    try {
      return await buffer(content)
    } catch (error) {
      throw this.#client.connection.failure(error, options.signal)
    }
  }

  /** A file as a stream of bytes; destroy it to stop early. @throws {SlotpoolError} `FILE_NOT_FOUND`, `FILE_FAILED`. */
  readStream(path: string, options: Cancellable = {}): Promise<Readable> {
    return this.#client.readFile(this.#leaseId, path, options.signal)
  }

  /**
   * Writes a file, making its folder where that is missing; an existing file is replaced as a whole or stays as it was.
   *
   * @throws {SlotpoolError} `FILE_FAILED`, `FILE_TOO_LARGE` beyond 1 GiB.
   */
  async write(path: string, content: string | Uint8Array, options: WriteFileOptions = {}): Promise<void> {
    checkMode(options.mode)
    const body = bytesOf(content)
    await this.#client.writeFile(this.#leaseId, path, body, { ...options, bytes: body.length })
  }

  /**
   * Writes a file from a stream, as `write`. Where its length in bytes is given, more or less is refused.
   *
   * @throws {SlotpoolError} as `write`; `FILE_FAILED` when the stream fails.
   */
  async writeStream(path: string, content: AsyncIterable<Uint8Array>, options: WriteFileOptions & { bytes?: number } = {}): Promise<void> {
    checkMode(options.mode)
    await new Sending(content).during((body) => this.#client.writeFile(this.#leaseId, path, body, options))
  }

  /** What is in a folder, by path. Links are listed, not followed. @throws {SlotpoolError} `FILE_TOO_LARGE` beyond `maxEntries`. */
  list(path = '.', options: ListOptions = {}): Promise<FileEntry[]> {
    return this.#client.listFiles(this.#leaseId, path, options)
  }

  /** What a path is; its last part is not followed where it is a link. @throws {SlotpoolError} `FILE_NOT_FOUND`. */
  stat(path: string, options: Cancellable = {}): Promise<FileEntry> {
    return this.#client.statFile(this.#leaseId, path, options.signal)
  }

  /** Whether there is something at a path, be it a link that leads nowhere. */
  async exists(path: string, options: Cancellable = {}): Promise<boolean> {
    try {
      await this.stat(path, options)
      return true
    } catch (error) {
      if (error instanceof SlotpoolError && error.code === 'FILE_NOT_FOUND') return false
      throw error
    }
  }

  /**
   * Removes a file, a link (not what it leads to), an empty folder, or with `recursive` a folder with all that is in it.
   *
   * @throws {SlotpoolError} `FILE_NOT_FOUND` unless `missingOk` is set; `FILE_FAILED` for a folder that is not empty, the workspace, the
   *   home and /tmp themselves.
   */
  async remove(path: string, options: Cancellable & { recursive?: boolean; missingOk?: boolean } = {}): Promise<void> {
    const { missingOk = false, ...rest } = options
    try {
      await this.#client.removeFile(this.#leaseId, path, rest)
    } catch (error) {
      if (!missingOk || !(error instanceof SlotpoolError) || error.code !== 'FILE_NOT_FOUND') throw error
    }
  }

  /** Makes a folder, and those above it where they are missing; one that is there is no error. */
  makeFolder(path: string, options: Cancellable = {}): Promise<void> {
    return this.#client.makeFolder(this.#leaseId, path, options.signal)
  }

  /**
   * Unpacks a tar, not compressed, in a folder of the slot, `path`, by default the workspace. It is made where it is missing; folders that
   * are there stay, files are replaced. Everything belongs to the slot's user. All of it is there afterwards, or nothing has changed.
   *
   * @throws {SlotpoolError} `FILE_TOO_LARGE` beyond a bound; `FILE_FAILED` for a tar that is cut short, sparse or compressed, or has devices,
   *   pipes or paths that lead out of the folder.
   */
  uploadTar(content: Uint8Array | AsyncIterable<Uint8Array>, options: TarOptions & { path?: string } = {}): Promise<TarResult> {
    const { path = '.', ...bounds } = options
    if (content instanceof Uint8Array) return this.#client.uploadTar(this.#leaseId, path, bytesOf(content), bounds)
    return new Sending(content).during((body) => this.#client.uploadTar(this.#leaseId, path, body, bounds))
  }

  /**
   * A tar of what is in a folder, or of one file, as a stream; destroy it to stop early. It was made in the slot: unpack it only with what
   * distrusts it, as `download` does. What goes wrong in the middle is the error of the stream, `FILE_TOO_LARGE` beyond `maxBytes` (default:
   * 1 GiB and 64 MiB, for what stands around the files).
   */
  async downloadTar(path = '.', options: Cancellable & { maxBytes?: number } = {}): Promise<Readable> {
    const { maxBytes = maxFileBytes + maxReadBytes, signal } = options
    const content = await this.#client.downloadTar(this.#leaseId, path, signal)
    let bytes = 0
    const bounded = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        bytes += chunk.length
        if (bytes <= maxBytes) return done(null, chunk)
        done(new SlotpoolError('FILE_TOO_LARGE', `got a tar of more than ${maxBytes} bytes of ${path}`, { details: { path, maxBytes } }))
      },
    })
    content.on('error', (error) => bounded.destroy(error))
    bounded.on('close', () => content.destroy())
    return content.pipe(bounded)
  }

  /**
   * Copies a file or what is in a folder of this machine to `path` in the slot: a file becomes the file `path`, a folder's content is put
   * into the folder `path`. Links stay links.
   *
   * @throws {SlotpoolError} as `write` and `uploadTar`; `FILE_FAILED` for a path of this machine that cannot be read, or a device, pipe or socket.
   */
  async upload(hostPath: string, path = '.', options: TarOptions = {}): Promise<TarResult> {
    const facts = await stat(hostPath).catch((error) => {
      throw hostFailure(error, hostPath)
    })
    if (facts.isDirectory()) return this.uploadTar(writeTar(hostMembers(hostPath)), { ...options, path })
    const { bytes, mode, content, close } = await openHostFile(hostPath, { followLink: true })
    const { maxBytes = maxFileBytes, maxEntries: _, ...rest } = options
    try {
      if (bytes > maxBytes) throw new SlotpoolError('FILE_TOO_LARGE', `got ${hostPath} of ${bytes} bytes, expected at most ${maxBytes}`)
      await this.writeStream(path, content, { ...rest, bytes, mode })
      return { entries: 1, bytes }
    } finally {
      await close()
    }
  }

  /**
   * Copies what is in a folder of the slot, or one file, into a folder of this machine, which is made where it is missing. What comes out of
   * a slot is not trusted: nothing is written outside of `hostFolder`, whatever the tar says, no link in it leads out, and there are no
   * devices and no setuid bits. All of it is there afterwards, or the folder is as it was; files of the same name are replaced.
   *
   * @throws {SlotpoolError} `FILE_NOT_FOUND`; `FILE_TOO_LARGE` beyond a bound; `FILE_FAILED` with the entry that is refused.
   */
  async download(path: string, hostFolder: string, options: DownloadOptions = {}): Promise<Downloaded> {
    const { signal, skipUnsafe = false } = options
    const bounds: TarBounds = { maxBytes: options.maxBytes ?? maxFileBytes, maxEntries: options.maxEntries ?? maxEntries }
    const content = await this.#client.downloadTar(this.#leaseId, path, signal)
    try {
      return await unpack(content, hostFolder, { ...bounds, skipUnsafe })
    } finally {
      content.destroy()
    }
  }
}

function bytesOf(content: string | Uint8Array): Buffer {
  if (typeof content === 'string') return Buffer.from(content, 'utf8')
  if (content instanceof Uint8Array) return Buffer.from(content.buffer, content.byteOffset, content.byteLength)
  throw new SlotpoolError('REQUEST_INVALID', `content: got a value of type ${typeof content}, expected a text or a Uint8Array`, {
    details: { path: 'content' },
  })
}

function checkMode(mode: number | undefined): void {
  if (mode === undefined || (Number.isInteger(mode) && mode >= 0 && mode <= 0o777)) return
  throw new SlotpoolError('REQUEST_INVALID', `mode: got ${mode}, expected 0 to 0o777`, { details: { path: 'mode' } })
}

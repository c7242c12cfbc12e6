import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import type { SandboxClient } from '../client/sandbox-client.ts'
import { SlotpoolError } from '../errors.ts'

/** What `read` holds in memory at most; larger files are streamed. */
const maxReadBytes = 64 * 1024 * 1024

/**
 * Files of a slot. Paths are as the slot's own commands see them, relative ones from the workspace, and reach what those commands may
 * reach.
 */
export class SlotFiles {
  readonly #client: SandboxClient
  readonly #leaseId: string

  constructor(client: SandboxClient, leaseId: string) {
    this.#client = client
    this.#leaseId = leaseId
  }

  /** A file as text. @throws {SlotpoolError} `FILE_NOT_FOUND`, `FILE_FAILED`, `FILE_TOO_LARGE` beyond 64 MiB. */
  async read(path: string, options: { signal?: AbortSignal } = {}): Promise<string> {
    return (await this.readBytes(path, options)).toString('utf8')
  }

  /** A file as bytes. @throws {SlotpoolError} as `read`. */
  async readBytes(path: string, options: { signal?: AbortSignal } = {}): Promise<Buffer> {
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
  readStream(path: string, options: { signal?: AbortSignal } = {}): Promise<Readable> {
    return this.#client.readFile(this.#leaseId, path, options.signal)
  }

  /**
   * Writes a file, making its folder where that is missing; an existing file is replaced as a whole or stays as it was.
   *
   * @throws {SlotpoolError} `FILE_FAILED`, `FILE_TOO_LARGE` beyond 1 GiB.
   */
  async write(path: string, content: string | Uint8Array, options: { signal?: AbortSignal } = {}): Promise<void> {
    const bytes =
      typeof content === 'string' ? Buffer.from(content, 'utf8') : Buffer.from(content.buffer, content.byteOffset, content.byteLength)
    await this.#client.writeFile(this.#leaseId, path, bytes, { bytes: bytes.length, signal: options.signal })
  }
}

import { createHash, type Hash } from 'node:crypto'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { SlotpoolError } from '../../errors.ts'
import type { Descriptor } from './registry.ts'
import { digestMismatch } from './registry-errors.ts'
import type { RemoteRepository } from './remote-repository.ts'
import { unlessSilent } from './silence.ts'
import { storing } from './store-failure.ts'
import { untilMoved } from './transfer-attempts.ts'

/** What a download is told, and tells. */
export interface BlobTransfer {
  signal?: AbortSignal | undefined
  /** Called with how many bytes are over. */
  onBytes: (bytes: number) => void
}

/**
 * Downloads a blob into a file that is not there yet, going on where it was after its connection was cut.
 *
 * @throws {SlotpoolError} `DIGEST_MISMATCH` when it is not what the descriptor names; the file is not there then.
 */
export async function downloadBlob(remote: RemoteRepository, blob: Descriptor, path: string, transfer: BlobTransfer): Promise<void> {
  const doing = `downloading ${blob.digest} from ${remote.connection.host}`
  const file = await storing(`write ${path}`, () => open(path, 'wx', 0o600))
  const download = new Download(remote, blob, file, transfer)
  try {
    await untilMoved(
      doing,
      transfer.signal,
      () => download.bytes,
      () => download.goOn(),
    )
    download.check(`${blob.digest} of ${remote.connection.host}/${remote.connection.repository}`)
    await file.close()
  } catch (error) {
    await file.close().catch(() => {})
    await rm(path, { force: true })
    throw error
  }
}

class Download {
  readonly #remote: RemoteRepository
  readonly #blob: Descriptor
  readonly #file: FileHandle
  readonly #transfer: BlobTransfer
  #hash: Hash = createHash('sha256')
  bytes = 0

  constructor(remote: RemoteRepository, blob: Descriptor, file: FileHandle, transfer: BlobTransfer) {
    this.#remote = remote
    this.#blob = blob
    this.#file = file
    this.#transfer = transfer
  }

  /** Asks for what is not there yet, and takes it. @throws when the connection is cut before all of it came. */
  async goOn(): Promise<void> {
    const { digest, sizeBytes } = this.#blob
    const from = this.bytes
    if (from === sizeBytes && from > 0) return
    const answer = await this.#remote.connection.expect(from === 0 ? [200] : [200, 206], {
      to: this.#remote.path(`blobs/${digest}`),
      headers: from === 0 ? {} : { Range: `bytes=${from}-` },
      signal: this.#transfer.signal,
      purpose: `give ${digest} of ${this.#remote.connection.repository}`,
    })
    // Who does not go on begins anew.
    if (answer.status === 200 || !answer.headers['content-range']?.startsWith(`bytes ${from}-`)) {
      if (answer.status === 206) throw this.#cut(`got the range ${answer.headers['content-range']}, expected one from ${from}`)
      this.#hash = createHash('sha256')
      this.bytes = 0
    }
    try {
      for await (const chunk of unlessSilent(answer.body, this.#remote.connection.silence.bodyMs)) await this.#take(chunk)
    } catch (error) {
      if (error instanceof SlotpoolError) throw error
      // Without the error itself: it may be the library's own, which has in it who asked.
      throw this.#cut((error as Error).message)
    }
    if (this.bytes < sizeBytes) throw this.#cut(`it ended after ${this.bytes} of ${sizeBytes} bytes`)
  }

  check(what: string): void {
    const got = `sha256:${this.#hash.digest('hex')}`
    if (got !== this.#blob.digest) throw digestMismatch(what, got, this.#blob.digest)
  }

  async #take(chunk: Uint8Array): Promise<void> {
    const { digest, sizeBytes } = this.#blob
    if (this.bytes + chunk.length > sizeBytes) throw digestMismatch(digest, `more than ${sizeBytes} bytes`, `${sizeBytes}`)
    await storing(`write ${digest}`, () => writeAll(this.#file, chunk, this.bytes))
    this.#hash.update(chunk)
    this.bytes += chunk.length
    this.#transfer.onBytes(this.bytes)
  }

  #cut(why: string): SlotpoolError {
    const { host } = this.#remote.connection
    return new SlotpoolError('REGISTRY_REQUEST_FAILED', `the download of ${this.#blob.digest} from ${host} was cut: ${why}`, {
      retryable: true,
    })
  }
}

async function writeAll(file: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < chunk.length; ) at += (await file.write(chunk, at, chunk.length - at, position + at)).bytesWritten
}

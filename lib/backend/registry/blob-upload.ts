import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { SlotpoolError } from '../../errors.ts'
import type { BlobTransfer } from './blob-download.ts'
import { digestOfFile } from './digest.ts'
import type { Descriptor } from './registry.ts'
import type { RegistryAnswer } from './registry-answer.ts'
import { digestMismatch } from './registry-errors.ts'
import type { RemoteRepository } from './remote-repository.ts'
import { storing } from './store-failure.ts'
import { untilMoved } from './transfer-attempts.ts'

/**
 * Uploads a file as a blob, going on where the registry is after its connection was cut.
 *
 * @throws {SlotpoolError} `DIGEST_MISMATCH` when the file is not what the descriptor names, or the registry received something else.
 */
export async function uploadBlob(remote: RemoteRepository, blob: Descriptor, path: string, transfer: BlobTransfer): Promise<void> {
  const got = await storing(`read ${path}`, () => digestOfFile(path, transfer.signal))
  if (got !== blob.digest) throw digestMismatch(path, got, blob.digest)
  const upload = new Upload(remote, blob, path, transfer)
  try {
    await untilMoved(
      `uploading ${blob.digest} to ${remote.connection.host}`,
      transfer.signal,
      () => upload.bytes,
      () => upload.goOn(),
    )
  } catch (error) {
    await upload.drop()
    throw error
  }
}

class Upload {
  readonly #remote: RemoteRepository
  readonly #blob: Descriptor
  readonly #path: string
  readonly #transfer: BlobTransfer
  /** Where the next bytes go; undefined before it was begun. */
  #location: string | undefined
  #interrupted = false
  /** What the registry has said that it has. */
  bytes = 0

  constructor(remote: RemoteRepository, blob: Descriptor, path: string, transfer: BlobTransfer) {
    this.#remote = remote
    this.#blob = blob
    this.#path = path
    this.#transfer = transfer
  }

  async goOn(): Promise<void> {
    if (this.#interrupted) await this.#ask()
    if (this.#location === undefined) await this.#begin()
    this.#interrupted = true
    if (this.bytes < this.#blob.sizeBytes) await this.#send()
    await this.#finish()
  }

  /** Tells the registry that nothing more will come. It forgets in time what it is not told of. */
  async drop(): Promise<void> {
    if (this.#location === undefined) return
    const to = this.#location
    const request = {
      method: 'DELETE' as const,
      to,
      signal: AbortSignal.timeout(2_000),
      purpose: `drop the upload of ${this.#blob.digest}`,
    }
    await this.#remote.connection.send(request).then(
      ({ body }) => body.resume(),
      () => {},
    )
  }

  async #begin(): Promise<void> {
    const answer = await this.#request('POST', this.#remote.path('blobs/uploads/'), [202], { 'Content-Length': '0' })
    this.bytes = 0
    this.#moveTo(answer)
  }

  /** How much the registry has of it. An upload that it does not know any more is begun anew. */
  async #ask(): Promise<void> {
    if (this.#location === undefined) return
    const answer = await this.#request('GET', this.#location, [204, 404])
    if (answer.status === 404) {
      this.#location = undefined
      this.bytes = 0
      return
    }
    // `0-0` says nothing or one byte; the registries that are there mean nothing.
    const last = Number(/^(?:bytes=)?0-(\d+)$/.exec(answer.headers.range ?? '')?.[1] ?? 0)
    this.bytes = last === 0 ? 0 : Math.min(last + 1, this.#blob.sizeBytes)
    this.#moveTo(answer)
  }

  async #send(): Promise<void> {
    const { sizeBytes, digest } = this.#blob
    const { signal } = this.#transfer
    const from = this.bytes
    const to = this.#location as string
    const { host, repository, silence: limits } = this.#remote.connection
    const silence = new AbortController()
    const why = new SlotpoolError('REGISTRY_REQUEST_FAILED', `registry ${host} took nothing more of ${digest} for ${limits.answerMs} ms`)
    const timer = setTimeout(() => silence.abort(why), limits.answerMs)
    let content: Readable | undefined
    try {
      const answer = await this.#remote.connection.expect([202, 201, 204], {
        method: 'PATCH',
        to,
        headers: {
          'Content-Type': 'application/octet-stream',
          'Content-Length': String(sizeBytes - from),
          'Content-Range': `${from}-${sizeBytes - 1}`,
        },
        body: () => {
          content?.destroy()
          content = Readable.from(this.#content(from, timer), { objectMode: false })
          return content
        },
        signal: signal ? AbortSignal.any([signal, silence.signal]) : silence.signal,
        purpose: `take ${digest} of ${repository}`,
      })
      answer.body.resume()
      this.bytes = sizeBytes
      this.#moveTo(answer)
    } finally {
      clearTimeout(timer)
      // Who is answered before all is sent, or not at all, leaves the file open.
      content?.destroy()
    }
  }

  async *#content(from: number, timer: NodeJS.Timeout): AsyncGenerator<Buffer> {
    let bytes = from
    for await (const chunk of createReadStream(this.#path, { start: from })) {
      yield chunk as Buffer
      timer.refresh()
      bytes += (chunk as Buffer).length
      this.#transfer.onBytes(bytes)
    }
  }

  async #finish(): Promise<void> {
    const { digest } = this.#blob
    const url = new URL(this.#location as string)
    url.searchParams.set('digest', digest)
    const request = {
      method: 'PUT' as const,
      to: url.href,
      headers: { 'Content-Length': '0' },
      signal: this.#transfer.signal,
      purpose: `finish ${digest} of ${this.#remote.connection.repository}`,
    }
    const answer = await this.#remote.connection.send(request)
    if (answer.status === 201 || answer.status === 204) {
      answer.body.resume()
      this.#location = undefined
      return
    }
    const failure = await this.#remote.connection.failure(answer, request)
    if (answer.status === 400 && /DIGEST_INVALID/.test(failure.message)) {
      throw new SlotpoolError('DIGEST_MISMATCH', `${digest} came to ${this.#remote.connection.host} as something else: ${failure.message}`)
    }
    throw failure
  }

  async #request(method: 'GET' | 'POST', to: string, statuses: number[], headers: Record<string, string> = {}): Promise<RegistryAnswer> {
    const purpose = `take ${this.#blob.digest} of ${this.#remote.connection.repository}`
    const answer = await this.#remote.connection.expect(statuses, { method, to, headers, signal: this.#transfer.signal, purpose })
    answer.body.resume()
    return answer
  }

  #moveTo({ headers, url }: RegistryAnswer): void {
    const { location } = headers
    if (location !== undefined) this.#location = new URL(location, url).href
    else if (this.#location === undefined) {
      throw new SlotpoolError(
        'REGISTRY_REQUEST_FAILED',
        `registry ${this.#remote.connection.host} took an upload and did not say where it goes`,
        {
          retryable: false,
        },
      )
    }
  }
}

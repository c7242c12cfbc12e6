import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { Transform, type TransformCallback } from 'node:stream'
import { SlotpoolError } from '../../errors.ts'
import type { Descriptor } from './registry.ts'
import { digestMismatch } from './registry-errors.ts'

/** The name of a file that holds content of that digest. @throws {SlotpoolError} `USAGE` for what is no digest, and might lead out of its folder. */
export function digestFileName(digest: string): string {
  const hex = /^sha256:([0-9a-f]{64})$/.exec(digest)?.[1]
  if (hex !== undefined) return hex
  throw new SlotpoolError('USAGE', `digest: got ${JSON.stringify(digest)}, expected sha256: and 64 hexadecimal digits`, {
    details: { got: digest },
  })
}

/** The digest of content that is at hand. */
export function digestOf(content: Uint8Array): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`
}

/** The digest of a file. */
export async function digestOfFile(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { signal })) hash.update(chunk as Buffer)
  return `sha256:${hash.digest('hex')}`
}

/** @throws {SlotpoolError} `DIGEST_MISMATCH` when the content is not what the descriptor names. */
export function checkContent(content: Uint8Array, { digest, sizeBytes }: Pick<Descriptor, 'digest' | 'sizeBytes'>, what: string): void {
  if (content.length !== sizeBytes) throw digestMismatch(what, `${content.length} bytes`, `${sizeBytes}`)
  const got = digestOf(content)
  if (got !== digest) throw digestMismatch(what, got, digest)
}

/** Hands bytes on as they come, and fails before its end where they were not those that the descriptor names. */
export class DigestCheck extends Transform {
  readonly #hash = createHash('sha256')
  readonly #expected: Descriptor
  readonly #what: string
  #bytes = 0

  constructor(expected: Descriptor, what: string) {
    super()
    this.#expected = expected
    this.#what = what
  }

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    this.#bytes += chunk.length
    if (this.#bytes > this.#expected.sizeBytes) {
      done(digestMismatch(this.#what, `more than ${this.#expected.sizeBytes} bytes`, `${this.#expected.sizeBytes}`))
      return
    }
    this.#hash.update(chunk)
    done(null, chunk)
  }

  override _flush(done: TransformCallback): void {
    const { digest, sizeBytes } = this.#expected
    const got = `sha256:${this.#hash.digest('hex')}`
    if (this.#bytes !== sizeBytes) done(digestMismatch(this.#what, `${this.#bytes} bytes`, `${sizeBytes}`))
    else done(got === digest ? null : digestMismatch(this.#what, got, digest))
  }
}

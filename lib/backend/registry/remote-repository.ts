import { SlotpoolError } from '../../errors.ts'
import { checkContent, digestOf } from './digest.ts'
import type { ImageReference } from './image-reference.ts'
import { indexTypes, manifestTypes, maxDocumentBytes } from './oci-documents.ts'
import type { Descriptor } from './registry.ts'
import { type ConnectionOptions, RegistryConnection } from './registry-connection.ts'
import { digestMismatch, notImplemented, refNotFound } from './registry-errors.ts'

/** A document of a repository, with what names it. */
export interface RemoteDocument {
  descriptor: Descriptor
  content: Buffer
}

/** One repository of a remote registry, by the OCI distribution protocol. */
export class RemoteRepository {
  readonly connection: RegistryConnection

  /** Connects to nothing yet. */
  constructor(reference: Pick<ImageReference, 'host' | 'repository'>, options: ConnectionOptions) {
    this.connection = new RegistryConnection(reference, options)
  }

  /**
   * The manifest or index of a tag or digest, checked against its digest.
   *
   * @throws {SlotpoolError} `REF_NOT_FOUND`, `DIGEST_MISMATCH`.
   */
  async document(name: string, signal?: AbortSignal): Promise<RemoteDocument> {
    const { connection } = this
    const request = {
      to: this.path(`manifests/${name}`),
      headers: { Accept: [...manifestTypes, ...indexTypes].join(', ') },
      signal,
      purpose: `give the manifest ${name} of ${connection.repository}`,
    }
    const answer = await connection.send(request)
    if (answer.status === 404) {
      answer.body.resume()
      throw refNotFound(`${connection.repository}${name.startsWith('sha256:') ? '@' : ':'}${name}`, `registry ${connection.host}`)
    }
    if (answer.status !== 200) throw await connection.failure(answer, request)
    const content = await connection.read(answer, maxDocumentBytes, request)
    const named = name.startsWith('sha256:') ? name : answer.headers['docker-content-digest']
    const digest = digestOf(content)
    const what = `the manifest ${name} of ${connection.host}/${connection.repository}`
    if (named?.startsWith('sha256:') && named !== digest) throw digestMismatch(what, digest, named)
    return {
      descriptor: { digest, mediaType: mediaTypeOf(answer.headers['content-type'], content, what), sizeBytes: content.length },
      content,
    }
  }

  /** The document that a descriptor names. */
  async named(descriptor: Descriptor, signal?: AbortSignal): Promise<RemoteDocument> {
    const found = await this.document(descriptor.digest, signal)
    checkContent(found.content, descriptor, `the manifest ${descriptor.digest} of ${this.connection.host}/${this.connection.repository}`)
    return found
  }

  /** Puts a manifest or index, after all that it names. @throws {SlotpoolError} `DIGEST_MISMATCH` when the registry has something else then. */
  async put(name: string, { digest, mediaType }: Descriptor, content: Buffer, signal?: AbortSignal): Promise<void> {
    const answer = await this.connection.expect([201, 202], {
      method: 'PUT',
      to: this.path(`manifests/${name}`),
      headers: { 'Content-Type': mediaType, 'Content-Length': String(content.length) },
      body: () => content,
      signal,
      purpose: `take the manifest ${name} of ${this.connection.repository}`,
    })
    answer.body.resume()
    const got = answer.headers['docker-content-digest']
    if (got !== undefined && got !== digest) throw digestMismatch(`the manifest ${name} at ${this.connection.host}`, got, digest)
  }

  async hasBlob({ digest }: Descriptor, signal?: AbortSignal): Promise<boolean> {
    const request = { method: 'HEAD' as const, to: this.path(`blobs/${digest}`), signal, purpose: `say whether it has ${digest}` }
    const answer = await this.connection.expect([200, 404], request)
    answer.body.resume()
    return answer.status === 200
  }

  path(rest: string): string {
    return `/v2/${this.connection.repository}/${rest}`
  }

  close(): void {
    this.connection.close()
  }
}

/** What a document is: what it says itself counts for nothing where the registry says something else. */
function mediaTypeOf(header: string | undefined, content: Buffer, what: string): string {
  const said = header?.split(';')[0]?.trim() ?? ''
  const type = [...manifestTypes, ...indexTypes].includes(said) ? said : ownMediaType(content)
  if (type !== undefined) return type
  if (/manifest\.v1\+/.test(said)) throw notImplemented(`${what} is of Docker's schema 1`, 'push the image again with a present engine')
  throw new SlotpoolError('REGISTRY_REQUEST_FAILED', `${what}: got media type ${said || 'none'}, expected an image manifest or index`, {
    retryable: false,
  })
}

function ownMediaType(content: Buffer): string | undefined {
  try {
    const { mediaType } = JSON.parse(content.toString('utf8')) as { mediaType?: unknown }
    return [...manifestTypes, ...indexTypes].find((one) => one === mediaType)
  } catch {
    return undefined
  }
}

import { createReadStream } from 'node:fs'
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { SlotpoolError } from '../../errors.ts'
import { withFolderLock } from '../folder-lock.ts'
import { checkContent, DigestCheck, digestFileName, digestOfFile } from './digest.ts'
import { LayoutIndex } from './layout-index.ts'
import { indexTypes, manifestTypes, maxDocumentBytes, readIndex, readManifest } from './oci-documents.ts'
import type { Descriptor } from './registry.ts'
import { refNotFound } from './registry-errors.ts'
import { isMissing, storing } from './store-failure.ts'

/** A folder as the OCI image layout has it: `oci-layout`, `index.json`, and content under its digest in `blobs/sha256`. */
export class OciLayout {
  readonly folder: string

  /** Touches nothing yet. */
  constructor(folder: string) {
    this.folder = folder
  }

  index(): Promise<LayoutIndex> {
    return LayoutIndex.read(this.folder)
  }

  blobPath(digest: string): string {
    return join(this.folder, 'blobs', 'sha256', digestFileName(digest))
  }

  /** Makes the folder where there is none. */
  async ensure(): Promise<void> {
    await storing(`make ${this.folder}`, async () => {
      await mkdir(join(this.folder, 'blobs', 'sha256'), { recursive: true, mode: 0o700 })
      // One that is there is somebody's to read.
      await writeFile(join(this.folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}', { flag: 'wx' }).catch((error: unknown) => {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      })
    })
  }

  /** Whether content is there, by its name and size. */
  async has({ digest, sizeBytes }: Descriptor): Promise<boolean> {
    const path = this.blobPath(digest)
    const found = await stat(path).catch(() => undefined)
    return found?.size === sizeBytes
  }

  /** Whether content is there, and what its name says. */
  async holds(descriptor: Descriptor, signal?: AbortSignal): Promise<boolean> {
    const path = this.blobPath(descriptor.digest)
    return (await this.has(descriptor)) && (await storing(`read ${path}`, () => digestOfFile(path, signal))) === descriptor.digest
  }

  /** A manifest, an index or a configuration. @throws {SlotpoolError} `REF_NOT_FOUND`, `DIGEST_MISMATCH`. */
  async document(descriptor: Descriptor): Promise<Buffer> {
    const path = this.blobPath(descriptor.digest)
    if (descriptor.sizeBytes > maxDocumentBytes) {
      throw new SlotpoolError('IMAGE_STORE_FAILED', `${path}: got ${descriptor.sizeBytes} bytes, expected at most ${maxDocumentBytes}`)
    }
    const content = await storing(`read ${path}`, () => readFile(path).catch((error: unknown) => this.#missing(error, descriptor)))
    checkContent(content, descriptor, path)
    return content
  }

  /** Any content, checked as it is read. @throws {SlotpoolError} `REF_NOT_FOUND`. */
  async open(descriptor: Descriptor, signal?: AbortSignal): Promise<Readable> {
    const path = this.blobPath(descriptor.digest)
    await storing(`read ${path}`, () => stat(path).catch((error: unknown) => this.#missing(error, descriptor)))
    const check = new DigestCheck(descriptor, path)
    // Its failure is the stream's, for whoever reads it.
    pipeline(createReadStream(path), check, { signal }).catch(() => {})
    return check
  }

  /**
   * All that a manifest or an index names, itself included. What is missing of it names nothing more.
   *
   * @param foreign is told what is of a type that nobody here knows: it may name more.
   * @throws {SlotpoolError} when some of it cannot be read now.
   */
  async closure(root: Descriptor, foreign: (one: Descriptor) => void = () => {}): Promise<Map<string, Descriptor>> {
    const found = new Map([[root.digest, root]])
    const isIndex = indexTypes.includes(root.mediaType)
    if (!isIndex && !manifestTypes.includes(root.mediaType)) {
      foreign(root)
      return found
    }
    const content = await this.document(root).catch((error: unknown) => {
      if (error instanceof SlotpoolError && error.code === 'REF_NOT_FOUND') return undefined
      throw error
    })
    if (content === undefined) return found
    if (isIndex) {
      for (const one of readIndex(content, root.digest)) {
        for (const [digest, inner] of await this.closure(one, foreign)) found.set(digest, inner)
      }
      return found
    }
    const { config, layers } = readManifest(content, root.digest)
    for (const one of [config, ...layers]) found.set(one.digest, one)
    return found
  }

  /**
   * Changes the names, while nobody else does, and removes what no name leads to any more. `change` may do its own part of the work: content that
   * it puts there is not taken away in between.
   */
  async change(signal: AbortSignal | undefined, change: (index: LayoutIndex) => Promise<LayoutIndex>): Promise<void> {
    await this.ensure()
    await storing(`change ${this.folder}`, () =>
      withFolderLock(this.folder, signal, async () => {
        const before = await this.index()
        const after = await change(before)
        await after.write(this.folder)
        await this.#collect(before, after)
      }),
    )
  }

  /** Only what the names that went led to: others may be putting content there that has no name yet. */
  async #collect(before: LayoutIndex, after: LayoutIndex): Promise<void> {
    const kept = new Set(after.manifests.map((one) => one.digest))
    const gone = before.manifests.filter((one) => !kept.has(one.digest))
    if (gone.length === 0) return
    const used = await this.#used(after)
    // What cannot be told to be unused stays.
    if (used === undefined) return
    for (const one of gone) {
      const parts = await this.closure(one).catch(() => new Map([[one.digest, one]]))
      for (const digest of parts.keys()) if (!used.has(digest)) await this.#remove(digest)
    }
  }

  /** All that names lead to; undefined where something that they name cannot be read now, or is of a type that nobody here knows. */
  async #used(index: LayoutIndex): Promise<Set<string> | undefined> {
    const used = new Set<string>()
    let isKnown = true
    const foreign = (): void => {
      isKnown = false
    }
    try {
      for (const one of index.manifests) for (const digest of (await this.closure(one, foreign)).keys()) used.add(digest)
    } catch {
      return undefined
    }
    return isKnown ? used : undefined
  }

  async #remove(digest: string): Promise<void> {
    await storing(`remove ${this.blobPath(digest)}`, () => rm(this.blobPath(digest), { force: true }))
  }

  #missing(error: unknown, { digest }: Descriptor): never {
    if (isMissing(error)) throw refNotFound(digest, this.folder, error)
    throw error
  }
}

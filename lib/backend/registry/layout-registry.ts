import { createWriteStream } from 'node:fs'
import { rename } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { DigestCheck } from './digest.ts'
import { wholeReference } from './image-reference.ts'
import { LayoutStaging } from './layout-staging.ts'
import { indexTypes, readImageConfig, readIndex, readManifest } from './oci-documents.ts'
import { OciLayout } from './oci-layout.ts'
import { pullImage } from './pull-image.ts'
import { pushImage } from './push-image.ts'
import type { BuildTarget, Descriptor, ImageInfo, Registry, TransferOptions } from './registry.ts'
import { refNotFound } from './registry-errors.ts'
import { storing } from './store-failure.ts'

/** The images of an OCI layout on this machine. */
export class LayoutRegistry implements Registry {
  readonly place: string
  readonly #layout: OciLayout

  /** Touches nothing yet; the folder is made when something is put there. */
  constructor(folder: string) {
    this.place = folder
    this.#layout = new OciLayout(folder)
  }

  async list(): Promise<string[]> {
    return (await this.#layout.index()).names
  }

  async resolve(reference: string): Promise<Descriptor> {
    const found = (await this.#layout.index()).find(reference)
    if (found === undefined) throw refNotFound(reference, this.place)
    return found
  }

  async inspect(reference: string): Promise<ImageInfo> {
    const descriptor = await this.resolve(reference)
    const content = await this.#layout.document(descriptor)
    const about = { ...descriptor, reference, remoteDigests: [] }
    if (indexTypes.includes(descriptor.mediaType)) {
      const parts = readIndex(content, descriptor.digest)
      const sizeBytes = parts.reduce((sum, one) => sum + one.sizeBytes, content.length)
      return { ...about, sizeBytes, createdAtMs: null, description: null, source: null, labels: {}, annotations: {} }
    }
    const { config, layers, annotations } = readManifest(content, descriptor.digest)
    const { createdAtMs, labels } = readImageConfig(await this.#layout.document(config))
    const word = (name: string): string | null => annotations[name] ?? labels[name] ?? null
    return {
      ...about,
      sizeBytes: layers.reduce((sum, one) => sum + one.sizeBytes, content.length + config.sizeBytes),
      createdAtMs,
      description: word('org.opencontainers.image.description'),
      source: word('org.opencontainers.image.source'),
      labels,
      annotations,
    }
  }

  fetch(descriptor: Descriptor, signal?: AbortSignal): Promise<Readable> {
    return this.#layout.open(descriptor, signal)
  }

  async tag(source: string, target: string, signal?: AbortSignal): Promise<void> {
    wholeReference(target)
    await this.resolve(source)
    await this.#layout.change(signal, async (index) => {
      const found = index.find(source)
      if (found === undefined) throw refNotFound(source, this.place)
      return index.with(target, found)
    })
  }

  async remove(reference: string, signal?: AbortSignal): Promise<void> {
    // Without making a folder for nothing.
    if (!(await this.#layout.index()).has(reference)) throw refNotFound(reference, this.place)
    await this.#layout.change(signal, async (index) => {
      if (!index.has(reference)) throw refNotFound(reference, this.place)
      return index.without(reference)
    })
  }

  pull(reference: string, options?: TransferOptions): Promise<Descriptor> {
    return pullImage(this.#layout, reference, options)
  }

  async push(reference: string, remote: string, options?: TransferOptions): Promise<Descriptor> {
    return pushImage(this.#layout, await this.resolve(reference), remote, options)
  }

  buildTarget(): BuildTarget {
    return {
      put: (descriptor, content, signal) => this.#put(descriptor, content, signal),
      tag: async (manifest, reference, signal) => {
        wholeReference(reference)
        await this.#layout.change(signal, async (index) => {
          for (const part of (await this.#layout.closure(manifest)).values()) {
            if (!(await this.#layout.has(part))) throw refNotFound(part.digest, this.place)
          }
          return index.with(reference, manifest)
        })
      },
    }
  }

  async #put(descriptor: Descriptor, content: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void> {
    const path = this.#layout.blobPath(descriptor.digest)
    await this.#layout.ensure()
    await using staging = await LayoutStaging.make(this.#layout)
    const fresh = staging.path(descriptor.digest)
    await storing(`write ${path}`, async () => {
      await pipeline(content, new DigestCheck(descriptor, path), createWriteStream(fresh), signal ? { signal } : {})
      await rename(fresh, path)
    })
  }
}

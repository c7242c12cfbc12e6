import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { stateDir } from '../../state-dir.ts'
import { LayoutRegistry } from './layout-registry.ts'
import type { BuildTarget, Descriptor, ImageInfo, Registry, TransferOptions } from './registry.ts'
import { notImplemented } from './registry-errors.ts'
import { isSif, SifFiles, sifType } from './sif-files.ts'

/** The images on this machine that no engine keeps: an OCI layout in the state folder, and SIF files by their paths. */
export class LocalRegistry implements Registry {
  readonly place: string
  readonly #layout: LayoutRegistry
  readonly #sifs: SifFiles

  /** Touches nothing yet. @param env where the place of the state folder is read from. */
  constructor(env: NodeJS.ProcessEnv = process.env) {
    this.place = join(stateDir(env), 'images')
    this.#layout = new LayoutRegistry(this.place)
    this.#sifs = new SifFiles(join(stateDir(env), 'sif'))
  }

  async list(): Promise<string[]> {
    return [...(await this.#layout.list()), ...(await this.#sifs.list())]
  }

  resolve(reference: string, signal?: AbortSignal): Promise<Descriptor> {
    return this.#storeOf(reference).resolve(reference, signal)
  }

  inspect(reference: string, signal?: AbortSignal): Promise<ImageInfo> {
    return this.#storeOf(reference).inspect(reference, signal)
  }

  async fetch(descriptor: Descriptor, signal?: AbortSignal): Promise<Readable> {
    if (descriptor.mediaType === sifType) throw notImplemented('a SIF is not looked for by its digest', 'read the file by its path')
    return this.#layout.fetch(descriptor, signal)
  }

  tag(source: string, target: string, signal?: AbortSignal): Promise<void> {
    return this.#storeOf(source).tag(source, target, signal)
  }

  remove(reference: string, signal?: AbortSignal): Promise<void> {
    return this.#storeOf(reference).remove(reference, signal)
  }

  async pull(reference: string, options?: TransferOptions): Promise<Descriptor> {
    if (isSif(reference)) throw notImplemented(`got ${reference}, and registries have no SIF files`, 'copy the file')
    return this.#layout.pull(reference, options)
  }

  async push(reference: string, remote: string, options?: TransferOptions): Promise<Descriptor> {
    if (isSif(reference)) throw notImplemented(`got ${reference}, and a SIF file is not pushed`, 'push the image that it was made from')
    return this.#layout.push(reference, remote, options)
  }

  buildTarget(): BuildTarget {
    return this.#layout.buildTarget()
  }

  #storeOf(reference: string): LayoutRegistry | SifFiles {
    return isSif(reference) ? this.#sifs : this.#layout
  }
}

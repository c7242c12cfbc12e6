import { randomBytes } from 'node:crypto'
import { copyFile, link, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { SlotpoolError } from '../../errors.ts'
import { digestOfFile } from './digest.ts'
import type { Descriptor, ImageInfo } from './registry.ts'
import { refNotFound } from './registry-errors.ts'
import { isMissing, storing } from './store-failure.ts'

export const sifType = 'application/vnd.sylabs.sif.layer.v1.sif'

/** Where a SIF says that it is one, and when it was made: the fields of its header that do not depend on its version. */
const magic = { at: 32, text: 'SIF_MAGIC\0' }
const createdAt = 64
const headerBytes = 72

/** Whether a reference is the path of a SIF file. */
export function isSif(reference: string): boolean {
  return reference.endsWith('.sif') && !reference.includes('\0')
}

/** SIF files as images: each is named by its path. Those in one folder are listed. */
export class SifFiles {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  async list(): Promise<string[]> {
    const names = await storing(`list ${this.#folder}`, () =>
      readdir(this.#folder).catch((error: unknown) => {
        if (isMissing(error)) return []
        throw error
      }),
    )
    return names
      .filter(isSif)
      .map((name) => join(this.#folder, name))
      .sort()
  }

  async resolve(reference: string, signal?: AbortSignal): Promise<Descriptor> {
    const { path, sizeBytes } = await this.#look(reference)
    return { digest: await storing(`read ${path}`, () => digestOfFile(path, signal)), mediaType: sifType, sizeBytes }
  }

  async inspect(reference: string, signal?: AbortSignal): Promise<ImageInfo> {
    const { createdAtMs } = await this.#look(reference)
    const descriptor = await this.resolve(reference, signal)
    return { ...descriptor, reference, createdAtMs, description: null, source: null, labels: {}, annotations: {}, remoteDigests: [] }
  }

  /** Gives a file a second name; where a file system has none, a copy. */
  async tag(source: string, target: string): Promise<void> {
    const { path } = await this.#look(source)
    if (!isSif(target))
      throw new SlotpoolError('USAGE', `image reference: got ${target}, expected the path of a .sif file, as ${source} is one`)
    const named = resolve(target)
    const fresh = `${named}.${randomBytes(6).toString('hex')}`
    await storing(`write ${named}`, async () => {
      try {
        await link(path, fresh).catch(() => copyFile(path, fresh))
        await rename(fresh, named)
      } finally {
        // Two names of one file are left as they are.
        await rm(fresh, { force: true })
      }
    })
  }

  async remove(reference: string): Promise<void> {
    const { path } = await this.#look(reference)
    await storing(`remove ${path}`, () => rm(path))
  }

  /** @throws {SlotpoolError} `REF_NOT_FOUND`; `IMAGE_STORE_FAILED` for a file that is no SIF. */
  async #look(reference: string): Promise<{ path: string; sizeBytes: number; createdAtMs: number | null }> {
    const path = resolve(reference)
    return storing(`read ${path}`, async () => {
      const found = await stat(path).catch((error: unknown) => {
        if (isMissing(error)) throw refNotFound(reference, 'the file system', error)
        throw error
      })
      const header = found.isFile() ? await readHeader(path) : Buffer.alloc(0)
      if (header.length < headerBytes || header.toString('latin1', magic.at, magic.at + magic.text.length) !== magic.text) {
        throw new SlotpoolError('IMAGE_STORE_FAILED', `${path}: got something that is no SIF, expected a file that Apptainer made`)
      }
      const seconds = Number(header.readBigInt64LE(createdAt))
      return { path, sizeBytes: found.size, createdAtMs: seconds > 0 ? seconds * 1000 : null }
    })
  }
}

async function readHeader(path: string): Promise<Buffer> {
  const file = await open(path)
  try {
    const header = Buffer.alloc(headerBytes)
    const { bytesRead } = await file.read(header, 0, headerBytes, 0)
    return header.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { SlotpoolError } from '../../errors.ts'
import { parseReference, wholeReference } from './image-reference.ts'
import { mediaTypes } from './oci-documents.ts'
import type { Descriptor } from './registry.ts'
import { isMissing, storing } from './store-failure.ts'

const nameAnnotation = 'org.opencontainers.image.ref.name'

const entry = z.looseObject({
  mediaType: z.string(),
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  size: z.int().min(0),
  annotations: z.record(z.string(), z.string()).optional(),
})
const indexFile = z.looseObject({ schemaVersion: z.literal(2), manifests: z.array(entry) })

type Entry = z.infer<typeof entry>

/** The names of an OCI layout: which manifest each stands for. What others wrote there is kept as it is. */
export class LayoutIndex {
  readonly #file: z.infer<typeof indexFile>

  private constructor(file: z.infer<typeof indexFile>) {
    this.#file = file
  }

  /** Empty where there is no layout. @throws {SlotpoolError} `IMAGE_STORE_FAILED` for an `index.json` that is none. */
  static async read(folder: string): Promise<LayoutIndex> {
    const path = join(folder, 'index.json')
    const text = await storing(`read ${path}`, () =>
      readFile(path, 'utf8').catch((error: unknown) => {
        if (isMissing(error)) return undefined
        throw error
      }),
    )
    if (text === undefined) return new LayoutIndex({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [] })
    try {
      return new LayoutIndex(indexFile.parse(JSON.parse(text)))
    } catch (cause) {
      throw new SlotpoolError('IMAGE_STORE_FAILED', `${path}: got no index of an OCI image layout: ${(cause as Error).message}`, { cause })
    }
  }

  /** Replaces the file in one step. */
  async write(folder: string): Promise<void> {
    const path = join(folder, 'index.json')
    const fresh = `${path}.${process.pid}`
    await storing(`write ${path}`, async () => {
      try {
        await writeFile(fresh, JSON.stringify(this.#file))
        await rename(fresh, path)
      } catch (error) {
        await rm(fresh, { force: true })
        throw error
      }
    })
  }

  get names(): string[] {
    return this.#file.manifests.flatMap((one) => nameOf(one) ?? []).sort()
  }

  get manifests(): Descriptor[] {
    return this.#file.manifests.map(toDescriptor)
  }

  find(reference: string): Descriptor | undefined {
    const found = this.#find(reference)
    return found && toDescriptor(found)
  }

  has(reference: string): boolean {
    return this.#named(reference) !== undefined
  }

  /** The same with another name, or another meaning of a name. */
  with(reference: string, { digest, mediaType, sizeBytes }: Descriptor): LayoutIndex {
    const others = this.#without(reference)
    const annotations = { [nameAnnotation]: wholeReference(reference) }
    return this.#having([...others, { mediaType, digest, size: sizeBytes, annotations }])
  }

  without(reference: string): LayoutIndex {
    return this.#having(this.#without(reference))
  }

  #without(reference: string): Entry[] {
    const gone = this.#named(reference)
    return this.#file.manifests.filter((one) => one !== gone)
  }

  #having(manifests: Entry[]): LayoutIndex {
    return new LayoutIndex({ ...this.#file, manifests })
  }

  #find(reference: string): Entry | undefined {
    return this.#named(reference) ?? this.#digested(reference)
  }

  /** By the very name, as others may have written it, or by what it is short for. */
  #named(reference: string): Entry | undefined {
    return this.#byName(reference) ?? this.#byName(wholeReference(reference))
  }

  #byName(name: string): Entry | undefined {
    return this.#file.manifests.find((one) => nameOf(one) === name)
  }

  /** By the repository and digest of a manifest that has another name there. */
  #digested(reference: string): Entry | undefined {
    const { digest, tag, host, repository } = parseReference(reference)
    if (digest === undefined) return undefined
    const start = `${host}/${repository}${tag === undefined ? '' : `:${tag}`}`
    return this.#file.manifests.find((one) => one.digest === digest && isOf(start, nameOf(one)))
  }
}

function isOf(start: string, name = ''): boolean {
  return name === start || name.startsWith(`${start}:`) || name.startsWith(`${start}@`)
}

function nameOf(one: Entry): string | undefined {
  return one.annotations?.[nameAnnotation]
}

function toDescriptor({ digest, mediaType, size }: Entry): Descriptor {
  return { digest, mediaType, sizeBytes: size }
}

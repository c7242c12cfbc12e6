import { stat, writeFile } from 'node:fs/promises'
import { arch } from 'node:process'
import { downloadBlob } from './blob-download.ts'
import { parseReference } from './image-reference.ts'
import { inParallel } from './in-parallel.ts'
import { LayoutStaging } from './layout-staging.ts'
import { type ImageIndexEntry, indexTypes, readIndex, readManifest } from './oci-documents.ts'
import type { OciLayout } from './oci-layout.ts'
import type { Descriptor, TransferOptions } from './registry.ts'
import { refNotFound } from './registry-errors.ts'
import { type RemoteDocument, RemoteRepository } from './remote-repository.ts'
import { storing } from './store-failure.ts'

/** What Node.js calls otherwise than registries do. */
const architectures: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386', ppc64: 'ppc64le' }
/** Of an image for several platforms, the one that runs here. */
const platform = `linux/${architectures[arch] ?? arch}`

/** Pulls an image into a layout. See `Registry.pull`. */
export async function pullImage(
  layout: OciLayout,
  reference: string,
  { signal, onProgress = () => {}, plainHttp }: TransferOptions = {},
): Promise<Descriptor> {
  const parsed = parseReference(reference)
  const remote = new RemoteRepository(parsed, { actions: 'pull', plainHttp })
  try {
    const { descriptor, content } = await platformManifest(
      remote,
      await remote.document(parsed.digest ?? (parsed.tag as string), signal),
      signal,
    )
    const { config, layers } = readManifest(content, `the manifest ${descriptor.digest} of ${reference}`)
    const blobs = [...new Map([config, ...layers].map((one) => [one.digest, one])).values()]
    await using staging = await LayoutStaging.make(layout)
    await storing(`write ${descriptor.digest}`, () => writeFile(staging.path(descriptor.digest), content))
    const tell = (blob: Descriptor, doneBytes: number, done: boolean): void =>
      onProgress({ item: blob.digest, doneBytes, totalBytes: blob.sizeBytes, done })
    for (const blob of blobs) tell(blob, 0, false)
    for (let missing: readonly Descriptor[] = blobs; ; ) {
      await inParallel(missing, signal, async (blob, either) => {
        const path = staging.path(blob.digest)
        const isHere = (await layout.holds(blob, either)) || (await stat(path).catch(() => undefined)) !== undefined
        if (!isHere) {
          await downloadBlob(remote, blob, path, { signal: either, onBytes: (bytes) => tell(blob, bytes, false) })
        }
        tell(blob, blob.sizeBytes, true)
      })
      // Somebody may have removed what was there when this began.
      missing = await staging.commit(reference, descriptor, [descriptor, ...blobs], signal)
      if (missing.length === 0) return descriptor
    }
  } finally {
    remote.close()
  }
}

/** The manifest itself, or that of this platform where it is an index, or one of which a part is an index. */
async function platformManifest(
  remote: RemoteRepository,
  document: RemoteDocument,
  signal: AbortSignal | undefined,
): Promise<RemoteDocument> {
  if (!indexTypes.includes(document.descriptor.mediaType)) return document
  const { host, repository } = remote.connection
  const read = ({ descriptor, content }: RemoteDocument): ImageIndexEntry[] =>
    readIndex(content, `the index ${descriptor.digest} of ${host}/${repository}`)
  const offered: string[] = []
  const outer = read(document)
  const inner = outer.filter(({ mediaType }) => indexTypes.includes(mediaType))
  for (let entries = outer.filter((one) => !inner.includes(one)); ; ) {
    const fitting = entries.find((one) => one.platform === platform)
    if (fitting) return remote.named(fitting, signal)
    offered.push(...entries.flatMap((one) => one.platform ?? []))
    const next = inner.shift()
    if (next === undefined) break
    entries = read(await remote.named(next, signal))
  }
  const names = offered.join(', ') || 'none that it names'
  throw refNotFound(`${host}/${repository}@${document.descriptor.digest} for ${platform}`, `its index, which has ${names}`)
}

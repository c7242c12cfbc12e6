import { SlotpoolError } from '../../errors.ts'
import { uploadBlob } from './blob-upload.ts'
import { parseReference } from './image-reference.ts'
import { inParallel } from './in-parallel.ts'
import { indexTypes, readIndex, readManifest } from './oci-documents.ts'
import type { OciLayout } from './oci-layout.ts'
import type { Descriptor, TransferOptions } from './registry.ts'
import { RemoteRepository } from './remote-repository.ts'

/** Pushes an image of a layout. See `Registry.push`. */
export async function pushImage(
  layout: OciLayout,
  root: Descriptor,
  target: string,
  { signal, onProgress, plainHttp }: TransferOptions = {},
): Promise<Descriptor> {
  const parsed = parseReference(target)
  if (parsed.digest !== undefined && parsed.digest !== root.digest) {
    throw new SlotpoolError(
      'USAGE',
      `image reference: got ${target}, expected one without a digest, or with that of the image, ${root.digest}`,
    )
  }
  const remote = new RemoteRepository(parsed, { actions: 'pull,push', plainHttp })
  try {
    await pushTree({ layout, remote, signal, onProgress }, root, parsed.tag ?? root.digest)
    return root
  } finally {
    remote.close()
  }
}

interface Push {
  layout: OciLayout
  remote: RemoteRepository
  signal: AbortSignal | undefined
  onProgress: TransferOptions['onProgress']
}

/** A manifest goes after all that it names: registries refuse it before. */
async function pushTree(push: Push, document: Descriptor, name: string): Promise<void> {
  const { layout, remote, signal } = push
  const content = await layout.document(document)
  if (indexTypes.includes(document.mediaType)) {
    for (const one of readIndex(content, document.digest)) await pushTree(push, one, one.digest)
  } else {
    const { config, layers } = readManifest(content, document.digest)
    const blobs = [...new Map([config, ...layers].map((one) => [one.digest, one])).values()]
    for (const { digest, sizeBytes } of blobs) push.onProgress?.({ item: digest, doneBytes: 0, totalBytes: sizeBytes, done: false })
    await inParallel(blobs, signal, (blob, either) => pushBlob(push, blob, either))
  }
  await remote.put(name, document, content, signal)
}

async function pushBlob({ layout, remote, onProgress = () => {} }: Push, blob: Descriptor, signal: AbortSignal): Promise<void> {
  const tell = (doneBytes: number, done: boolean): void => onProgress({ item: blob.digest, doneBytes, totalBytes: blob.sizeBytes, done })
  if (!(await remote.hasBlob(blob, signal))) {
    await uploadBlob(remote, blob, layout.blobPath(blob.digest), { signal, onBytes: (bytes) => tell(bytes, false) })
  }
  tell(blob.sizeBytes, true)
}

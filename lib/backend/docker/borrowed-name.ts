import type { ImageInspectInfo } from 'dockerode'
import { parseReference } from '../registry/image-reference.ts'
import type { DockerEngine } from './engine.ts'
import { findImage, nameImage, removeImageName } from './engine-images.ts'
import { repositoryOf } from './image-transfer.ts'

/** What is known of a name that an image is to have while it is pushed: the engine pushes what it has under that very name. */
export interface Borrowing {
  name: string
  /** The image that is pushed, as it was before it had the name. */
  image: ImageInspectInfo
  /** The image that had the name. */
  owner: ImageInspectInfo | undefined
}

/** What an engine that hangs has for giving a name back. */
const giveBackMs = 10_000

/**
 * Does `work` while an image has a name that is not its own, and gives the name back. Where nothing else would refer to the image then, or where the
 * engine would forget by which digest it was pulled, the image keeps the name. What cannot be given back is no failure of the work.
 *
 * @param digestOf what `work` came to has in the remote registry, which the engine notes down for the image.
 */
export async function withBorrowedName<T>(
  engine: DockerEngine,
  borrowing: Borrowing,
  digestOf: (result: T) => string,
  work: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const { name, image } = borrowing
  let pushed: string | undefined
  try {
    await nameImage(engine, image.Id, name, signal)
    const result = await work()
    pushed = digestOf(result)
    return result
  } finally {
    await giveBack(engine, borrowing, pushed).catch(() => {})
  }
}

async function giveBack(engine: DockerEngine, { name, image, owner }: Borrowing, pushed: string | undefined): Promise<void> {
  // Also after the work was given up.
  const signal = AbortSignal.timeout(giveBackMs)
  const repository = repositoryOf(parseReference(name))
  const digests = (image.RepoDigests ?? []).map(wholeName)
  const tags = (image.RepoTags ?? []).map(wholeName)
  if (owner === undefined) {
    // With the last tag of a repository the engine drops the digests of that repository.
    const inRepository = (one: string): boolean => one.startsWith(`${repository}:`) || one.startsWith(`${repository}@`)
    const othersStay = tags.some(inRepository) || (!digests.some(inRepository) && tags.length + digests.length > 0)
    if (othersStay) await removeImageName(engine, name, signal)
    return
  }
  await nameImage(engine, owner.Id, name, signal)
  const byDigest = `${repository}@${pushed}`
  // The engine would keep the image for that; where nothing else refers to the image, it should.
  if (pushed === undefined || digests.includes(byDigest) || tags.length + digests.length === 0) return
  if (await findImage(engine, byDigest, signal)) await removeImageName(engine, byDigest, signal)
}

/** As this module writes names; the engine leaves out what everybody may. */
function wholeName(name: string): string {
  const { host, repository, tag, digest } = parseReference(name)
  return `${host}/${repository}${digest === undefined ? `:${tag}` : `@${digest}`}`
}

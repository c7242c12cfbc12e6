import { SlotpoolError } from '../../errors.ts'
import type { Notice } from '../provider.ts'
import { tryParseReference } from '../registry/image-reference.ts'
import type { TransferProgress } from '../registry/registry.ts'
import { TransferSummary } from '../registry/transfer-summary.ts'
import type { DockerEngine } from './engine.ts'
import { lookAtImage } from './engine-images.ts'
import { imageNotFound } from './image-not-found.ts'
import { pullByEngine } from './image-transfer.ts'

/** A large image is pulled for minutes: how often it is said how far it is. */
const noticeEveryMs = 5_000

/**
 * Has the engine pull an image that it does not have, where its name says from which registry. A name without one would be looked for on Docker Hub,
 * where anybody may have put an image of that name.
 *
 * @throws {SlotpoolError} `IMAGE_NOT_FOUND`, also for a name without a registry; `IMAGE_PULL_FAILED`; `REGISTRY_UNAUTHORIZED`; `CANCELLED`.
 */
export async function ensureImage(
  engine: DockerEngine,
  image: string,
  { notice, env, signal }: { notice: Notice; env: NodeJS.ProcessEnv; signal: AbortSignal | undefined },
): Promise<void> {
  if (await lookAtImage(engine, image, signal)) return
  if (!tryParseReference(image)?.namesHost) throw imageNotFound(image)
  notice(`slotpool: pulling image ${image}`)
  const summary = new TransferSummary()
  let toldAt = performance.now()
  const onProgress = (progress: TransferProgress): void => {
    summary.take(progress)
    if (performance.now() - toldAt < noticeEveryMs) return
    toldAt = performance.now()
    notice(`slotpool: pulling image ${image}: ${summary.text}`)
  }
  try {
    await pullByEngine(engine, image, { signal, onProgress }, env)
  } catch (error) {
    throw ofPool(image, error)
  }
  notice(`slotpool: pulled image ${image}`)
}

/** What a pull failed with, by the codes that whoever starts a pool knows from every backend. */
function ofPool(image: string, error: unknown): unknown {
  if (!(error instanceof SlotpoolError)) return error
  const about = { cause: error, retryable: error.retryable, details: { ...error.details, image } }
  if (error.code === 'REF_NOT_FOUND') {
    return new SlotpoolError('IMAGE_NOT_FOUND', `the Docker engine has no image ${image}, and found none to pull: ${error.message}`, about)
  }
  if (error.code === 'REGISTRY_REQUEST_FAILED') {
    return new SlotpoolError('IMAGE_PULL_FAILED', `the Docker engine has no image ${image}, and could not pull it: ${error.message}`, about)
  }
  return error
}

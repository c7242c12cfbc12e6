import type { ImageInspectInfo } from 'dockerode'
import { SlotpoolError } from '../../errors.ts'
import { parseReference } from '../registry/image-reference.ts'
import type { DockerEngine } from './engine.ts'
import { engineStatus } from './engine-error.ts'
import { repositoryOf } from './image-transfer.ts'

const lookTimeoutMs = 15_000

/** What the engine knows of an image, by a reference or an id; undefined where it has none. @throws {SlotpoolError} `USAGE` for what is neither. */
export async function findImage(engine: DockerEngine, reference: string, signal?: AbortSignal): Promise<ImageInspectInfo | undefined> {
  if (!/^(sha256:)?[0-9a-f]{64}$/.test(reference)) parseReference(reference)
  return lookAtImage(engine, reference, signal)
}

/** The same, whatever the engine takes for a name; an engine that stands still is waited for no longer than {@link lookTimeoutMs}. */
export async function lookAtImage(engine: DockerEngine, name: string, signal?: AbortSignal): Promise<ImageInspectInfo | undefined> {
  try {
    return await engine.callWithin(lookTimeoutMs, `look at image ${name}`, () => engine.docker.getImage(name).inspect(), signal)
  } catch (error) {
    if (engineStatus(error) === 404) return undefined
    throw error
  }
}

/** Gives an image another name, or a name another meaning. @throws {SlotpoolError} `USAGE` for a name that has no tag. */
export async function nameImage(engine: DockerEngine, source: string, target: string, signal?: AbortSignal): Promise<void> {
  const parsed = parseReference(target)
  if (parsed.tag === undefined) {
    throw new SlotpoolError('USAGE', `image reference: got ${target}, expected a name with a tag, not a digest`)
  }
  const request = engine.docker.getImage(source).tag({ repo: repositoryOf(parsed), tag: parsed.tag })
  await engine.call(`name ${source} ${target}`, request, signal)
}

/** Takes a name away; with its last one the engine removes the image. */
export async function removeImageName(engine: DockerEngine, reference: string, signal?: AbortSignal): Promise<void> {
  await engine.call(`remove ${reference}`, engine.docker.getImage(reference).remove(), signal)
}

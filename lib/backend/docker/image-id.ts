import type { DockerEngine } from './engine.ts'
import { engineStatus } from './engine-error.ts'
import { imageNotFound } from './image-not-found.ts'

/** An engine that stands still is waited for no longer. */
const lookTimeoutMs = 15_000

/** The id of the image that a name stands for. @throws {SlotpoolError} `IMAGE_NOT_FOUND`. */
export async function imageId(engine: DockerEngine, name: string): Promise<string> {
  try {
    const look = () => engine.docker.getImage(name).inspect()
    return (await engine.callWithin(lookTimeoutMs, `look at image ${name}`, look, undefined)).Id
  } catch (error) {
    throw engineStatus(error) === 404 ? imageNotFound(name, error) : error
  }
}

/** The name where it stands for that image, else the id: a pool goes on with what it has when the name is given to another image. */
export async function imageOrName(engine: DockerEngine, name: string, id: string): Promise<string> {
  const found = await imageId(engine, name).catch(() => undefined)
  return found === id ? name : id
}

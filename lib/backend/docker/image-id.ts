import type { DockerEngine } from './engine.ts'
import { lookAtImage } from './engine-images.ts'
import { imageNotFound } from './image-not-found.ts'

/** The id of the image that a name stands for. @throws {SlotpoolError} `IMAGE_NOT_FOUND`. */
export async function imageId(engine: DockerEngine, name: string): Promise<string> {
  const found = await lookAtImage(engine, name)
  if (!found) throw imageNotFound(name)
  return found.Id
}

/** The name where it stands for that image, else the id: a pool goes on with what it has when the name is given to another image. */
export async function imageOrName(engine: DockerEngine, name: string, id: string): Promise<string> {
  const found = await imageId(engine, name).catch(() => undefined)
  return found === id ? name : id
}

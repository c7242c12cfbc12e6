import type Docker from 'dockerode'
import { DockerEngine } from '../../lib/backend/docker/engine.ts'
import { loadConfig } from '../../lib/config.ts'
import type { Bench } from '../bench.ts'
import type { Cleanup } from '../cleanup.ts'
import { MissingPeer } from './peer.ts'

/** What every container of the benchmark's peers carries, with the run's id as its value. */
export const benchLabel = 'slotpool.bench'

/** An engine, and the image that slotpool's own containers are made from. */
export interface DockerPeer {
  docker: Docker
  version: string
  image: string
}

/** @throws {MissingPeer} when no engine answers or the image is not there. */
export async function connectDocker(bench: Bench, scope: Cleanup): Promise<DockerPeer> {
  const engine = new DockerEngine()
  scope.add('let go of the Docker engine', () => engine.close())
  const { version } = await engine.version(bench.signal).catch((error: Error) => {
    throw new MissingPeer(error.message)
  })
  const { image } = loadConfig()
  await engine.docker
    .getImage(image)
    .inspect()
    .catch((error: Error) => {
      throw new MissingPeer(`image ${image}: ${error.message}; \`slotpool image build\` makes it`)
    })
  scope.add('remove containers of peers', () => removeMarked(engine.docker, bench.id))
  return { docker: engine.docker, version, image }
}

/** Starts containers that do nothing; resolves with their ids. */
export async function startSandboxes({ docker, image }: DockerPeer, bench: Bench, count: number): Promise<string[]> {
  const started: string[] = []
  for (let at = 0; at < count; at++) {
    bench.signal.throwIfAborted()
    const container = await docker.createContainer({
      Image: image,
      Entrypoint: ['/bin/sleep'],
      Cmd: ['infinity'],
      Labels: { [benchLabel]: bench.id },
      HostConfig: { Init: true },
    })
    await container.start()
    started.push(container.id)
  }
  return started
}

/** Removes every container of this run, whoever started it. */
async function removeMarked(docker: Docker, id: string): Promise<void> {
  const found = await docker.listContainers({ all: true, filters: { label: [`${benchLabel}=${id}`] } })
  await Promise.all(found.map((one) => removeContainer(docker, one.Id)))
}

/** One that removes itself may be on its way already: 404, or 409 for a removal under way. */
async function removeContainer(docker: Docker, id: string): Promise<void> {
  try {
    await docker.getContainer(id).remove({ force: true, v: true })
  } catch (error) {
    if (![404, 409].includes((error as { statusCode?: number }).statusCode ?? 0)) throw error
  }
}

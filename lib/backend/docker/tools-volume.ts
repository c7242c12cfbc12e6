import type { ContainerInfo, Container as EngineContainer, MountSettings } from 'dockerode'
import type { Config } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'
import { copyToolsProgram, missingInImage } from '../../image-layout.ts'
import { throwIfCancelled } from '../cancelled.ts'
import type { DockerEngine } from './engine.ts'
import { engineReason, engineStatus } from './engine-error.ts'
import { halfMadeAfterMs } from './half-made.ts'
import { imageNotFound } from './image-not-found.ts'
import { removeContainer } from './remove-container.ts'
import { StartOutput } from './start-output.ts'

/** How long copying them may take. Whoever finds the container that waits for them leaves it alone for longer. */
const copyWithinMs = 240_000

/** On a volume, and on the container that fills it: the id of the image that the tools are of. */
const toolsLabel = 'slotpool.tools'
/** Where containers have that volume. */
const volumeFolder = '/run/slotpool-tools'
/** The tools, once they are whole. */
export const toolsFolder = `${volumeFolder}/tools`

/** The volume with the tools of one image, for all containers on the engine that are served from it. */
export interface ToolsVolume {
  name: string
  imageId: string
}

/**
 * The volume that containers of the pool have their server from; undefined where they bring their own. It need not be there yet.
 *
 * @throws {SlotpoolError} `IMAGE_NOT_FOUND` when the engine does not have the image.
 */
export async function findToolsVolume(engine: DockerEngine, { toolsImage }: Config): Promise<ToolsVolume | undefined> {
  if (toolsImage === undefined) return undefined
  try {
    const { Id: imageId } = await engine.call(`look at image ${toolsImage}`, engine.docker.getImage(toolsImage).inspect())
    return { name: `slotpool-tools-${imageId.replace(/^sha256:/, '').slice(0, 12)}`, imageId }
  } catch (error) {
    throw engineStatus(error) === 404 ? imageNotFound(toolsImage, error) : error
  }
}

/** How a container has it; the engine makes the volume together with the container. */
export function toolsMount(volume: ToolsVolume, readOnly = true): MountSettings {
  return {
    Type: 'volume',
    Source: volume.name,
    Target: volumeFolder,
    ReadOnly: readOnly,
    VolumeOptions: { NoCopy: true, Labels: { [toolsLabel]: volume.imageId }, DriverConfig: { Name: '', Options: {} } },
  }
}

/**
 * Sees to it that the tools are there for a container that has the volume and was not started: nobody removes the volume while it has. Several
 * processes may do so at once.
 *
 * @throws {SlotpoolError} `CONTAINER_FAILED` when the image has no tools, or copying them takes longer than four minutes; `CANCELLED`.
 */
export async function fillToolsVolume(
  engine: DockerEngine,
  volume: ToolsVolume,
  container: EngineContainer,
  image: string,
  signal?: AbortSignal,
): Promise<void> {
  if (await hasTools(engine, container)) return
  throwIfCancelled(signal)
  const reason = await copyTools(engine, volume, signal)
  if (await hasTools(engine, container)) return
  throw new SlotpoolError('CONTAINER_FAILED', `the tools of image ${image} could not be copied: ${reason}${missingInImage(reason)}`, {
    retryable: false,
    details: { image, reason },
  })
}

async function hasTools(engine: DockerEngine, container: EngineContainer): Promise<boolean> {
  try {
    await engine.call('look for the tools of a container', container.infoArchive({ path: toolsFolder }))
    return true
  } catch (error) {
    if (engineStatus(error) === 404) return false
    throw error
  }
}

/** @returns why the tools are not there, should they not be. */
async function copyTools(engine: DockerEngine, volume: ToolsVolume, signal: AbortSignal | undefined): Promise<string> {
  // Not ended by a signal: an engine whose client hangs up still makes the container, and nobody would know its id.
  const filler = await engine.call(
    'create a container that copies tools',
    engine.docker.createContainer({
      Image: volume.imageId,
      Entrypoint: [copyToolsProgram],
      Cmd: [volumeFolder],
      User: '0:0',
      Labels: { [toolsLabel]: volume.imageId },
      NetworkDisabled: true,
      HostConfig: { Mounts: [toolsMount(volume, false)] },
    }),
  )
  try {
    const output = await StartOutput.attach(engine, filler.id)
    try {
      await engine.call('start a container that copies tools', filler.start())
      const late = AbortSignal.timeout(copyWithinMs)
      const waiting = filler.wait({ abortSignal: signal ? AbortSignal.any([signal, late]) : late })
      const exitCode = await waiting.then(
        ({ StatusCode }: { StatusCode: number }) => StatusCode,
        (error: unknown) => {
          throwIfCancelled(signal)
          if (late.aborted) return undefined
          return engine.call('wait for the tools', Promise.reject(error))
        },
      )
      if (exitCode === undefined) return `copying took longer than ${copyWithinMs / 1_000} s`
      return `copying ended with exit code ${exitCode}: ${(await output.tail()).trim()}`
    } finally {
      output.close()
    }
  } catch (error) {
    if (engineStatus(error) === undefined) throw error
    return engineReason((error as SlotpoolError).cause as Error)
  } finally {
    await removeContainer(engine, filler.id)
  }
}

/** Removes the volumes with tools that no container has, and containers that filled one and were left behind by whoever made them. */
export async function removeUnusedTools(engine: DockerEngine): Promise<void> {
  const fillers = await engine.call('list containers', engine.docker.listContainers({ all: true, filters: { label: [toolsLabel] } }))
  const left = fillers.length === 0 ? [] : await leftBehind(engine, fillers)
  await Promise.all(left.map((id) => removeContainer(engine, id).catch(() => {})))
  const filters = JSON.stringify({ dangling: ['true'], label: [toolsLabel] })
  const { Volumes: volumes } = await engine.call('list volumes', engine.docker.listVolumes({ filters }))
  // The engine does not let go of one that somebody has taken into use since.
  await Promise.all((volumes ?? []).map(({ Name: name }) => removeVolume(engine, name)))
}

/** What has ended is needed by nobody: its maker looks at the volume itself. What runs will end. */
async function leftBehind(engine: DockerEngine, fillers: readonly ContainerInfo[]): Promise<string[]> {
  const { SystemTime } = (await engine.call('tell its clock', engine.docker.info())) as { SystemTime: string }
  const startedBy = (Date.parse(SystemTime) - halfMadeAfterMs) / 1000
  return fillers
    .filter(({ State, Created }) => State === 'exited' || State === 'dead' || (State === 'created' && Created < startedBy))
    .map(({ Id }) => Id)
}

async function removeVolume(engine: DockerEngine, name: string): Promise<void> {
  try {
    await engine.docker.getVolume(name).remove()
  } catch {
    // It stays for the next time.
  }
}

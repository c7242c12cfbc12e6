import { defaultImage } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'
import { packageVersion } from '../../package-root.ts'
import { throwIfCancelled } from '../cancelled.ts'
import { type BuildFiles, buildContext } from './build-context.ts'
import { BuildFollower, type BuildProgress, buildMessages } from './build-events.ts'
import { DockerEngine } from './engine.ts'
import { engineError, engineReason, engineStatus } from './engine-error.ts'

const shownLines = 20

/** What {@link buildImage} takes. */
export interface BuildImageOptions {
  /** The name of the image. Default: {@link defaultImage}. */
  tag?: string
  /** A Debian-based image with Node 20.19 or later. Default: the one that the Dockerfile names, which is public. */
  baseImage?: string
  /** Called for each step and each line that a step prints. */
  onProgress?: (progress: BuildProgress) => void
  signal?: AbortSignal
  files?: BuildFiles
  /** Where `DOCKER_HOST` and its like are read from. Default: the environment. */
  env?: NodeJS.ProcessEnv
}

/**
 * Builds the image that serves slots on the Docker engine. What the engine has built before it takes from its cache.
 *
 * @throws {SlotpoolError} `IMAGE_BUILD_FAILED` with the step that failed and what it printed; `DOCKER_UNAVAILABLE`; `CANCELLED`.
 */
export async function buildImage(options: BuildImageOptions = {}): Promise<{ imageId: string; tag: string }> {
  const { tag = defaultImage, baseImage, onProgress = () => {}, signal, files, env } = options
  throwIfCancelled(signal)
  const context = await buildContext(files)
  const engine = new DockerEngine(env)
  const follower = new BuildFollower(onProgress)
  try {
    const stream = await engine.docker.buildImage(context as unknown as NodeJS.ReadableStream, {
      t: tag,
      // An aborted or failed build leaves no container of a step behind.
      rm: true,
      forcerm: true,
      buildargs: { SLOTPOOL_VERSION: packageVersion(), ...(baseImage === undefined ? {} : { BASE_IMAGE: baseImage }) },
      ...(signal ? { abortSignal: signal } : {}),
    })
    for await (const message of buildMessages(stream as AsyncIterable<Buffer>)) follower.take(message)
  } catch (error) {
    throwIfCancelled(signal)
    if (engineStatus(error) === undefined) throw engineError(error, `build ${tag}`, engine.address)
    throw new SlotpoolError('IMAGE_BUILD_FAILED', `${tag} could not be built: ${engineReason(error as Error)}`, { cause: error })
  } finally {
    engine.close()
  }
  throwIfCancelled(signal)
  if (follower.error !== undefined) throw stepFailed(tag, baseImage, follower, follower.error)
  if (follower.imageId === undefined) throw stepFailed(tag, baseImage, follower, 'the engine ended the build without an image')
  return { imageId: follower.imageId, tag }
}

function stepFailed(
  tag: string,
  baseImage: string | undefined,
  { step, steps, instruction, output }: BuildFollower,
  reason: string,
): SlotpoolError {
  const printed = output.slice(-shownLines).join('\n')
  const where = step === 0 ? 'the build' : `step ${step} of ${steps}, ${instruction.split('\n')[0]},`
  const advice = instruction.startsWith('FROM')
    ? ` Got ${baseImage ?? 'the default base image'}, expected one that the engine has or can pull: \`slotpool image build --base IMAGE\`.`
    : ''
  const said = printed === '' ? '' : ` It printed:\n${printed}`
  return new SlotpoolError('IMAGE_BUILD_FAILED', `${tag}: ${where} failed: ${reason}.${advice}${said}`, {
    details: { step, steps, instruction, reason, output: printed },
  })
}

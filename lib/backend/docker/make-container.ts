import { setTimeout as delay } from 'node:timers/promises'
import type { Container as EngineContainer } from 'dockerode'
import { SlotpoolError } from '../../errors.ts'
import { missingInImage } from '../../image-layout.ts'
import type { Endpoint } from '../../wire/endpoint.ts'
import { throwIfCancelled } from '../cancelled.ts'
import { Backoff } from './backoff.ts'
import { poolLabel } from './container-labels.ts'
import { type ContainerPlan, containerName, containerSpec, serverPort, tokenFolder } from './container-spec.ts'
import type { DockerEngine } from './engine.ts'
import { engineReason, engineStatus } from './engine-error.ts'
import { imageNotFound } from './image-not-found.ts'
import { containerRun } from './pool-containers.ts'
import { waitUntilItAnswers } from './readiness.ts'
import { removeContainer } from './remove-container.ts'
import { serverEndpoint } from './server-endpoint.ts'
import { startFailure } from './start-failure.ts'
import { StartOutput } from './start-output.ts'
import { tokenArchive } from './token-archive.ts'
import { fillToolsVolume } from './tools-volume.ts'
import { undoAndThrow } from './undo-and-throw.ts'

/** From the start of a container to the first answer of its sandbox server. */
export const startTimeoutMs = 60_000

/** A container whose sandbox server answered. */
export interface MadeContainer {
  id: string
  /** As in `PoolContainer`. */
  run: string
}

/** The engine takes a container out of its network behind its removal, and has done so by then. */
const networkTimeoutMs = 10_000

/**
 * Makes the container of one index and waits until its sandbox server answers. What it made is gone again when it throws.
 *
 * @param token asked for once the container is there: a pool that has one keeps its token.
 * @returns undefined when the index is taken: by another process, or by a container that is being removed.
 */
export async function makeContainer(
  engine: DockerEngine,
  plan: ContainerPlan,
  index: number,
  token: () => Promise<string>,
  signal?: AbortSignal,
): Promise<MadeContainer | undefined> {
  const backoff = new Backoff()
  for (const giveUpAt = performance.now() + networkTimeoutMs; ; await backoff.pause(signal)) {
    try {
      return await makeOnce(engine, plan, index, token, signal)
    } catch (error) {
      if (!isStillInNetwork(error)) throw error
      if (performance.now() > giveUpAt) throw leftInNetwork(containerName(plan.config.pool, index), error)
    }
  }
}

/** The last container of that name has gone, and its place in the network has not. */
function isStillInNetwork(error: unknown): error is SlotpoolError {
  return error instanceof SlotpoolError && /endpoint with name \S+ already exists/.test(String(error.details.reason ?? ''))
}

/** Left to whoever reads it: to disconnect by a name that another process has meanwhile given to a container of its own would cut that one off. */
function leftInNetwork(name: string, cause: SlotpoolError): SlotpoolError {
  const message = `${cause.message}; the engine has kept the place of one that has gone: docker network disconnect --force NETWORK ${name}`
  return new SlotpoolError(cause.code, message, { cause, details: cause.details })
}

async function makeOnce(
  engine: DockerEngine,
  plan: ContainerPlan,
  index: number,
  token: () => Promise<string>,
  signal?: AbortSignal,
): Promise<MadeContainer | undefined> {
  throwIfCancelled(signal)
  const spec = containerSpec(plan, index)
  // Not ended by the signal: an engine whose client hangs up still makes the container, and nobody would know its id.
  const container = await create(engine, spec)
  if (container === undefined) return undefined
  try {
    throwIfCancelled(signal)
    if (plan.tools) await fillToolsVolume(engine, plan.tools, container, plan.config.toolsImage ?? '', signal)
    // Only now is it sure which image its name stood for.
    const { Image: digest } = await engine.call('look at a container', container.inspect())
    const archive = await tokenArchive(await token(), tokenFolder(plan.config), { reference: plan.config.image, digest })
    await engine.call('put the token into a container', container.putArchive(archive, { path: '/' }))
    throwIfCancelled(signal)
    return { id: container.id, run: await startAndWait(engine, container, spec.name, signal) }
  } catch (error) {
    return undoAndThrow(error, () => removeContainer(engine, container.id))
  }
}

async function create(engine: DockerEngine, spec: ReturnType<typeof containerSpec>): Promise<EngineContainer | undefined> {
  try {
    return await engine.call(`create container ${spec.name}`, engine.docker.createContainer(spec))
  } catch (error) {
    const status = engineStatus(error)
    if (status === 409) return refuseStranger(engine, spec)
    if (status === 404) throw imageNotFound(spec.Image ?? '', error)
    throw error
  }
}

/** The name may be that of a container which only happens to be called so. Waiting for that one to go would be waiting for ever. */
async function refuseStranger(engine: DockerEngine, { name, Labels }: ReturnType<typeof containerSpec>): Promise<undefined> {
  try {
    const { Id, Config } = await engine.call(`look at container ${name}`, engine.docker.getContainer(name).inspect())
    if (Config.Labels[poolLabel] === Labels?.[poolLabel]) return
    throw new SlotpoolError(
      'CONTAINER_FAILED',
      `the name ${name} is taken by container ${Id.slice(0, 12)}, which is not one of this pool; expected it to be free: docker rename ${name} …`,
      { retryable: false, details: { container: Id } },
    )
  } catch (error) {
    // Gone in between, which is as good as free.
    if (engineStatus(error) !== 404) throw error
  }
}

/** @returns the run in which it answered. */
async function startAndWait(
  engine: DockerEngine,
  container: EngineContainer,
  name: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const output = await StartOutput.attach(engine, container.id)
  const over = new AbortController()
  const waiting = signal ? AbortSignal.any([signal, over.signal]) : over.signal
  try {
    await start(engine, container, name)
    const outcome = await Promise.race([
      answers(engine, container, waiting).then((run) => ({ run })),
      endOf(container, over.signal),
      delay(startTimeoutMs, `gave no answer within ${startTimeoutMs} ms`, { signal: over.signal }),
    ])
    if (typeof outcome === 'string') throw startFailure(`container ${name}`, outcome, await output.tail())
    return outcome.run
  } finally {
    over.abort()
    output.close()
  }
}

async function start(engine: DockerEngine, container: EngineContainer, name: string): Promise<void> {
  try {
    await engine.call(`start container ${name}`, container.start())
  } catch (error) {
    if (engineStatus(error) === undefined) throw error
    const reason = engineReason((error as SlotpoolError).cause as Error)
    const shown = `container ${name} could not start: ${reason}${missingInImage(reason)}`
    throw new SlotpoolError('CONTAINER_FAILED', shown, { cause: error, details: { reason } })
  }
}

/** How the container ended, in words. Never rejects: where the engine cannot tell any more, the container is gone. */
async function endOf(container: EngineContainer, signal: AbortSignal): Promise<string> {
  try {
    const { StatusCode } = (await container.wait({ abortSignal: signal })) as { StatusCode: number }
    return `ended with exit code ${StatusCode} before its sandbox server answered`
  } catch (error) {
    return `ended before its sandbox server answered (${engineReason(error as Error)})`
  }
}

/** @returns the run in which it did. */
async function answers(engine: DockerEngine, container: EngineContainer, signal: AbortSignal): Promise<string> {
  const address = await addressOf(engine, container)
  // Without one it has ended already, and the other side of the race says how.
  if (address === undefined) return new Promise(() => {})
  await waitUntilItAnswers(address.endpoint, signal)
  return address.run
}

async function addressOf(engine: DockerEngine, container: EngineContainer): Promise<{ endpoint: Endpoint; run: string } | undefined> {
  try {
    const { NetworkSettings } = await engine.call('read the address of a container', container.inspect())
    const port = Number(NetworkSettings.Ports[`${serverPort}/tcp`]?.[0]?.HostPort)
    if (!Number.isInteger(port) || port <= 0) return undefined
    return { endpoint: serverEndpoint(port, NetworkSettings.Networks), run: containerRun(container.id, port) }
  } catch (error) {
    if (engineStatus(error) === 404) return undefined
    throw error
  }
}

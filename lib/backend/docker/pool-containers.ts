import type { ContainerInfo } from 'dockerode'
import type { Endpoint } from '../../wire/endpoint.ts'
import type { PoolShape } from '../backend.ts'
import { isEarlier, type PoolVersion } from '../pool-version.ts'
import { poolLabel, readLabels } from './container-labels.ts'
import { serverPort } from './container-spec.ts'
import type { DockerEngine } from './engine.ts'
import { serverEndpoint } from './server-endpoint.ts'

/** A container of the pool as the engine lists it. */
export interface PoolContainer {
  id: string
  pool: string
  index: number
  /** The engine's word: `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`. */
  state: string
  /** The engine's own sentence, such as `Exited (1) 2 seconds ago`. */
  status: string
  createdAtMs: number
  /** Another after each start: what was known of the server in it is not known of the one that came with a restart. */
  run: string
  /** Where its sandbox server is; undefined until it runs. */
  endpoint: Endpoint | undefined
  shape: PoolShape
  version: PoolVersion
  /** The id of the image it was made from. */
  imageId: string
}

const liveStates = new Set(['created', 'running', 'paused', 'restarting'])

/** Names one run of a container: the engine publishes its port anew with each start. */
export function containerRun(id: string, publishedPort: number | undefined): string {
  return `${id}:${publishedPort ?? ''}`
}

/** Whether it serves or may yet come to serve. The others have ended, and are removed or being removed. */
export function isLive(container: PoolContainer): boolean {
  return liveStates.has(container.state)
}

/** An engine that has much to do may take seconds; whoever waits for a slot waits for one that stands still no longer than this. */
const listTimeoutMs = 15_000

/** One of those that were started and are of the newest version; undefined when none lives. One that was only made may never be started. */
export function newestContainer(containers: readonly PoolContainer[]): PoolContainer | undefined {
  const live = containers.filter(isLive)
  const started = live.filter((one) => one.state !== 'created')
  let newest: PoolContainer | undefined
  for (const one of started.length > 0 ? started : live) if (!newest || isEarlier(newest.version, one.version)) newest = one
  return newest
}

/** The pool's containers in any state, in order of their index. */
export function listPoolContainers(
  engine: DockerEngine,
  pool: string,
  signal?: AbortSignal,
  timeoutMs = listTimeoutMs,
): Promise<PoolContainer[]> {
  return listLabelled(engine, `${poolLabel}=${pool}`, signal, timeoutMs)
}

/** The containers of all pools on the engine. */
export function listEveryPool(engine: DockerEngine, signal?: AbortSignal): Promise<PoolContainer[]> {
  return listLabelled(engine, poolLabel, signal, listTimeoutMs)
}

async function listLabelled(
  engine: DockerEngine,
  label: string,
  signal: AbortSignal | undefined,
  timeoutMs: number,
): Promise<PoolContainer[]> {
  const infos = await engine.callWithin(
    timeoutMs,
    'list containers',
    (abortSignal) => engine.docker.listContainers({ all: true, filters: { label: [label] }, abortSignal }),
    signal,
  )
  return infos.flatMap((info) => read(info) ?? []).sort((a, b) => a.index - b.index)
}

function read(info: ContainerInfo): PoolContainer | undefined {
  const labels = readLabels(info.Labels)
  if (labels === undefined) return undefined
  const port = info.Ports.find((port) => port.PrivatePort === serverPort && port.PublicPort !== undefined)?.PublicPort
  return {
    id: info.Id,
    pool: labels.pool,
    index: labels.index,
    state: info.State,
    status: info.Status,
    createdAtMs: info.Created * 1000,
    run: containerRun(info.Id, port),
    endpoint: port === undefined ? undefined : serverEndpoint(port, info.NetworkSettings?.Networks),
    shape: labels.shape,
    version: labels.version,
    imageId: info.ImageID,
  }
}

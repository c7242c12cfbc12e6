import { DockerEngine } from '../../lib/backend/docker/engine.ts'
import { engineStatus } from '../../lib/backend/docker/engine-error.ts'
import type { ProcessStat } from '../../lib/sandbox/processes.ts'
import { serverBelow } from './server-below.ts'

/** Containers of this machine's Docker engine that have a label. */
export class EngineContainers {
  readonly engine = new DockerEngine()

  /** The ids of those with this label, in any state. */
  async ids(label: string): Promise<string[]> {
    return (await this.engine.docker.listContainers({ all: true, filters: { label: [label] } })).map((one) => one.Id)
  }

  /** The names of the volumes that a container has; none when it is gone. */
  async volumesOf(id: string): Promise<string[]> {
    const found = await unlessGone(this.engine.docker.getContainer(id).inspect())
    return (found?.Mounts ?? []).flatMap(({ Type, Name }) => (Type === 'volume' && Name !== undefined ? [Name] : []))
  }

  async volumes(): Promise<string[]> {
    return ((await this.engine.docker.listVolumes()).Volumes ?? []).map((one) => one.Name)
  }

  async kill(id: string): Promise<void> {
    await unlessGone(this.engine.docker.getContainer(id).kill({ signal: 'SIGKILL' }))
  }

  /** The sandbox server in a container; undefined when there is none. */
  async server(id: string): Promise<ProcessStat | undefined> {
    const pid = (await unlessGone(this.engine.docker.getContainer(id).inspect()))?.State.Pid
    return pid ? serverBelow(pid) : undefined
  }

  close(): void {
    this.engine.close()
  }
}

/** A container may be gone, or going, when it is met. */
async function unlessGone<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked
  } catch (error) {
    if ([404, 409].includes(engineStatus(error) ?? 0)) return undefined
    throw error
  }
}

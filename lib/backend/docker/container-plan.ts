import type { Config } from '../../config.ts'
import type { PoolShape } from '../backend.ts'
import { resolveMounts } from '../host-mounts.ts'
import { shapeOf, versionId, withShape } from '../pool-version.ts'
import { refuseSharedSystem } from '../task-image.ts'
import type { ContainerPlan } from './container-spec.ts'
import type { DockerEngine } from './engine.ts'
import { imageId, imageOrName } from './image-id.ts'
import { newestContainer, type PoolContainer } from './pool-containers.ts'
import { findToolsVolume } from './tools-volume.ts'

/** What containers of a pool are made as. */
export class ContainerPlans {
  readonly #engine: DockerEngine
  readonly #config: Config
  readonly #env: NodeJS.ProcessEnv
  readonly #ensureImage: (image: string) => Promise<void>
  #last: { key: string; plan: Promise<ContainerPlan> } | undefined

  /** `ensureImage` has the engine have an image that it may have to pull. */
  constructor(engine: DockerEngine, config: Config, env: NodeJS.ProcessEnv, ensureImage: (image: string) => Promise<void>) {
    this.#engine = engine
    this.#config = config
    this.#env = env
    this.#ensureImage = ensureImage
  }

  /** As the newest of these containers is; where none lives, as this process was told. */
  like(containers: readonly PoolContainer[]): Promise<ContainerPlan> {
    const newest = newestContainer(containers)
    // Several are made at once, all in the same way.
    const key = newest ? `${newest.version.generation} ${newest.version.id} ${newest.imageId}` : ''
    if (this.#last?.key !== key) this.#last = { key, plan: newest ? this.#likeOne(newest) : this.#first() }
    return this.#last.plan
  }

  /** As a shape says. `generation` is that of the newest container. */
  async changed(shape: PoolShape, generation: number): Promise<ContainerPlan> {
    const config = withShape(this.#config, shape)
    refuseSharedSystem(config)
    await this.#ensureImage(config.image)
    if (config.toolsImage !== undefined) await this.#ensureImage(config.toolsImage)
    const [own, parts] = await Promise.all([imageId(this.#engine, config.image), this.#parts(config)])
    const id = versionId(shape, [own, ...(parts.tools ? [parts.tools.imageId] : [])].join(' '))
    return { config, image: config.image, version: { id, generation }, ...parts }
  }

  #first(): Promise<ContainerPlan> {
    return this.changed(shapeOf(this.#config, this.#config.image), 0)
  }

  async #likeOne({ shape, version, imageId: id }: PoolContainer): Promise<ContainerPlan> {
    const config = withShape(this.#config, shape)
    const [image, parts] = await Promise.all([imageOrName(this.#engine, config.image, id), this.#parts(config)])
    return { config, image, version, ...parts }
  }

  /** What it has from outside of its image. */
  async #parts(config: Config): Promise<Pick<ContainerPlan, 'mounts' | 'tools'>> {
    const [mounts, tools] = await Promise.all([resolveMounts(config, this.#env), findToolsVolume(this.#engine, config)])
    return { mounts, ...(tools ? { tools } : {}) }
  }
}

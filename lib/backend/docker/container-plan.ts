import type { Config } from '../../config.ts'
import type { PoolShape } from '../backend.ts'
import { resolveMounts } from '../host-mounts.ts'
import { shapeOf, versionId, withShape } from '../pool-version.ts'
import type { ContainerPlan } from './container-spec.ts'
import type { DockerEngine } from './engine.ts'
import { imageId, imageOrName } from './image-id.ts'
import { newestContainer, type PoolContainer } from './pool-containers.ts'

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
    await this.#ensureImage(config.image)
    const id = versionId(shape, await imageId(this.#engine, config.image))
    return { config, image: config.image, version: { id, generation }, mounts: await resolveMounts(config, this.#env) }
  }

  #first(): Promise<ContainerPlan> {
    return this.changed(shapeOf(this.#config, this.#config.image), 0)
  }

  async #likeOne({ shape, version, imageId: id }: PoolContainer): Promise<ContainerPlan> {
    const config = withShape(this.#config, shape)
    const [image, mounts] = await Promise.all([imageOrName(this.#engine, config.image, id), resolveMounts(config, this.#env)])
    return { config, image, version, mounts }
  }
}

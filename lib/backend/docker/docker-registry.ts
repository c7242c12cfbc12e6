import type { Readable } from 'node:stream'
import type { ImageInspectInfo } from 'dockerode'
import { SlotpoolError } from '../../errors.ts'
import { parseReference } from '../registry/image-reference.ts'
import { mediaTypes } from '../registry/oci-documents.ts'
import type { BuildTarget, Descriptor, ImageInfo, Registry, TransferOptions } from '../registry/registry.ts'
import { notImplemented, refNotFound } from '../registry/registry-errors.ts'
import { withBorrowedName } from './borrowed-name.ts'
import { DockerEngine } from './engine.ts'
import { findImage, nameImage, removeImageName } from './engine-images.ts'
import { pullByEngine, pushByEngine } from './image-transfer.ts'

/** What the engine names an image by: its configuration. */
const configType = 'application/vnd.docker.container.image.v1+json'

/** The images of a Docker engine. An image's digest there is its id; which digest its manifest has, the engine learns only from a remote registry. */
export class DockerRegistry implements Registry {
  readonly place: string
  readonly #env: NodeJS.ProcessEnv

  /** Connects to nothing yet. @throws {SlotpoolError} `CONFIG_INVALID` when the engine's address cannot be used. */
  constructor(env: NodeJS.ProcessEnv = process.env) {
    this.#env = env
    const engine = new DockerEngine(env)
    this.place = `the Docker engine at ${engine.address.address}`
    engine.close()
  }

  list(): Promise<string[]> {
    return this.#with(async (engine) => {
      const images = await engine.call('list images', engine.docker.listImages())
      return images
        .flatMap((image) => image.RepoTags ?? [])
        .filter((name) => name !== '<none>:<none>')
        .sort()
    })
  }

  async resolve(reference: string): Promise<Descriptor> {
    return this.#with(async (engine) => toDescriptor(await this.#look(engine, reference)))
  }

  inspect(reference: string): Promise<ImageInfo> {
    return this.#with(async (engine) => {
      const found = await this.#look(engine, reference)
      const labels = found.Config?.Labels ?? {}
      const createdAtMs = Date.parse(found.Created)
      return {
        ...toDescriptor(found),
        reference,
        createdAtMs: Number.isNaN(createdAtMs) ? null : createdAtMs,
        description: labels['org.opencontainers.image.description'] ?? null,
        source: labels['org.opencontainers.image.source'] ?? null,
        labels,
        annotations: {},
        remoteDigests: found.RepoDigests ?? [],
      }
    })
  }

  async fetch({ digest }: Descriptor): Promise<Readable> {
    throw notImplemented(
      `a Docker engine gives no content by its digest, got ${digest}`,
      'push the image to a registry and pull it with --backend local',
    )
  }

  async tag(source: string, target: string): Promise<void> {
    await this.#with(async (engine) => {
      await this.#look(engine, source)
      await nameImage(engine, source, target)
    })
  }

  async remove(reference: string): Promise<void> {
    await this.#with(async (engine) => {
      await this.#look(engine, reference)
      await removeImageName(engine, reference)
    })
  }

  async pull(reference: string, options: TransferOptions = {}): Promise<Descriptor> {
    refusePlainHttp(options)
    return this.#with(async (engine) => {
      await pullByEngine(engine, reference, options, this.#env)
      return toDescriptor(await this.#look(engine, reference))
    })
  }

  async push(reference: string, remote: string, options: TransferOptions = {}): Promise<Descriptor> {
    refusePlainHttp(options)
    const { digest } = parseReference(remote)
    if (digest !== undefined) throw new SlotpoolError('USAGE', `image reference: got ${remote}, expected one without a digest to push to`)
    return this.#with(async (engine) => {
      const image = await this.#look(engine, reference)
      const owner = await findImage(engine, remote)
      const push = async (): Promise<Descriptor> => ({
        ...(await pushByEngine(engine, remote, options, this.#env)),
        mediaType: mediaTypes.dockerManifest,
      })
      if (owner?.Id === image.Id) return push()
      return withBorrowedName(engine, { name: remote, image, owner }, (pushed) => pushed.digest, push)
    })
  }

  buildTarget(): BuildTarget | null {
    return null
  }

  async #look(engine: DockerEngine, reference: string): Promise<ImageInspectInfo> {
    const found = await findImage(engine, reference)
    if (found === undefined) throw refNotFound(reference, this.place)
    return found
  }

  async #with<T>(work: (engine: DockerEngine) => Promise<T>): Promise<T> {
    const engine = new DockerEngine(this.#env)
    try {
      return await work(engine)
    } finally {
      engine.close()
    }
  }
}

function toDescriptor({ Id, Size }: ImageInspectInfo): Descriptor {
  return { digest: Id, mediaType: configType, sizeBytes: Size }
}

function refusePlainHttp({ plainHttp }: TransferOptions): void {
  if (!plainHttp) return
  throw notImplemented('a Docker engine decides itself whom it speaks to without TLS', 'set insecure-registries in its daemon.json')
}

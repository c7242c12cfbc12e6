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
  readonly #answerTimeoutMs: number | undefined

  /**
   * Connects to nothing yet.
   *
   * @param answerTimeoutMs how long the engine may take to say that it is there. Default: as `DockerEngine.version` has it.
   * @throws {SlotpoolError} `CONFIG_INVALID` when the engine's address cannot be used.
   */
  constructor(env: NodeJS.ProcessEnv = process.env, { answerTimeoutMs }: { answerTimeoutMs?: number } = {}) {
    this.#env = env
    this.#answerTimeoutMs = answerTimeoutMs
    const engine = new DockerEngine(env)
    this.place = `the Docker engine at ${engine.address.address}`
    engine.close()
  }

  list(signal?: AbortSignal): Promise<string[]> {
    return this.#with(signal, async (engine) => {
      const images = await engine.call('list images', engine.docker.listImages(), signal)
      return images
        .flatMap((image) => image.RepoTags ?? [])
        .filter((name) => name !== '<none>:<none>')
        .sort()
    })
  }

  async resolve(reference: string, signal?: AbortSignal): Promise<Descriptor> {
    return this.#with(signal, async (engine) => toDescriptor(await this.#look(engine, reference, signal)))
  }

  inspect(reference: string, signal?: AbortSignal): Promise<ImageInfo> {
    return this.#with(signal, async (engine) => {
      const found = await this.#look(engine, reference, signal)
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

  async tag(source: string, target: string, signal?: AbortSignal): Promise<void> {
    await this.#with(signal, async (engine) => {
      await this.#look(engine, source, signal)
      await nameImage(engine, source, target, signal)
    })
  }

  async remove(reference: string, signal?: AbortSignal): Promise<void> {
    await this.#with(signal, async (engine) => {
      await this.#look(engine, reference, signal)
      await removeImageName(engine, reference, signal)
    })
  }

  async pull(reference: string, options: TransferOptions = {}): Promise<Descriptor> {
    refusePlainHttp(options)
    const { signal } = options
    return this.#with(signal, async (engine) => {
      await pullByEngine(engine, reference, options, this.#env)
      return toDescriptor(await this.#look(engine, reference, signal))
    })
  }

  async push(reference: string, remote: string, options: TransferOptions = {}): Promise<Descriptor> {
    refusePlainHttp(options)
    const { digest } = parseReference(remote)
    if (digest !== undefined) throw new SlotpoolError('USAGE', `image reference: got ${remote}, expected one without a digest to push to`)
    const { signal } = options
    return this.#with(signal, async (engine) => {
      const image = await this.#look(engine, reference, signal)
      const owner = await findImage(engine, remote, signal)
      const push = async (): Promise<Descriptor> => ({
        ...(await pushByEngine(engine, remote, options, this.#env)),
        mediaType: mediaTypes.dockerManifest,
      })
      if (owner?.Id === image.Id) return push()
      return withBorrowedName(engine, { name: remote, image, owner }, (pushed) => pushed.digest, push, signal)
    })
  }

  buildTarget(): BuildTarget | null {
    return null
  }

  async #look(engine: DockerEngine, reference: string, signal: AbortSignal | undefined): Promise<ImageInspectInfo> {
    const found = await findImage(engine, reference, signal)
    if (found === undefined) throw refNotFound(reference, this.place)
    return found
  }

  /** An engine that takes a connection and says nothing would be waited for without end. */
  async #with<T>(signal: AbortSignal | undefined, work: (engine: DockerEngine) => Promise<T>): Promise<T> {
    const engine = new DockerEngine(this.#env)
    try {
      await engine.version(signal, this.#answerTimeoutMs)
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

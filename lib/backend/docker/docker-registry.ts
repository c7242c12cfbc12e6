import type { Readable } from 'node:stream'
import type { ImageInspectInfo } from 'dockerode'
import { SlotpoolError } from '../../errors.ts'
import { parseReference } from '../registry/image-reference.ts'
import { mediaTypes } from '../registry/oci-documents.ts'
import type { BuildTarget, Descriptor, ImageInfo, Registry, TransferOptions } from '../registry/registry.ts'
import { notImplemented, refNotFound } from '../registry/registry-errors.ts'
import { DockerEngine } from './engine.ts'
import { engineStatus } from './engine-error.ts'
import { pullByEngine, pushByEngine, repositoryOf } from './image-transfer.ts'

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
      await this.#name(engine, source, target)
    })
  }

  async remove(reference: string): Promise<void> {
    await this.#with(async (engine) => {
      await this.#look(engine, reference)
      await engine.call(`remove ${reference}`, engine.docker.getImage(reference).remove())
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
      const { Id } = await this.#look(engine, reference)
      const before = await this.#find(engine, remote)
      if (before?.Id === Id) return { ...(await pushByEngine(engine, remote, options, this.#env)), mediaType: mediaTypes.dockerManifest }
      // The engine pushes what it has under that very name.
      await this.#name(engine, Id, remote)
      let pushed: Descriptor | undefined
      try {
        pushed = { ...(await pushByEngine(engine, remote, options, this.#env)), mediaType: mediaTypes.dockerManifest }
        return pushed
      } finally {
        if (before) await this.#giveBack(engine, remote, before.Id, pushed)
        else await engine.call(`remove ${remote}`, engine.docker.getImage(remote).remove())
      }
    })
  }

  buildTarget(): BuildTarget | null {
    return null
  }

  async #name(engine: DockerEngine, source: string, target: string): Promise<void> {
    const parsed = parseReference(target)
    if (parsed.tag === undefined)
      throw new SlotpoolError('USAGE', `image reference: got ${target}, expected a name with a tag, not a digest`)
    const request = engine.docker.getImage(source).tag({ repo: repositoryOf(parsed), tag: parsed.tag })
    await engine.call(`name ${source} ${target}`, request)
  }

  /** A name that stood for another image does so again. The engine has noted down by which digest it pushed under that name, and would keep the image for that. */
  async #giveBack(engine: DockerEngine, name: string, id: string, pushed: Descriptor | undefined): Promise<void> {
    await this.#name(engine, id, name)
    if (pushed === undefined) return
    const byDigest = `${repositoryOf(parseReference(name))}@${pushed.digest}`
    if (await this.#find(engine, byDigest)) await engine.call(`remove ${byDigest}`, engine.docker.getImage(byDigest).remove())
  }

  async #look(engine: DockerEngine, reference: string): Promise<ImageInspectInfo> {
    const found = await this.#find(engine, reference)
    if (found === undefined) throw refNotFound(reference, this.place)
    return found
  }

  async #find(engine: DockerEngine, reference: string): Promise<ImageInspectInfo | undefined> {
    if (!/^(sha256:)?[0-9a-f]{64}$/.test(reference)) parseReference(reference)
    try {
      return await engine.call(`look at image ${reference}`, engine.docker.getImage(reference).inspect())
    } catch (error) {
      if (engineStatus(error) === 404) return undefined
      throw error
    }
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

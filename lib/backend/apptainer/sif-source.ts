import { createWriteStream } from 'node:fs'
import { copyFile, readFile } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { defaultImage } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'
import { packageRoot, sandboxServerBundle, sandboxServerProgram } from '../../package-root.ts'
import { DockerEngine } from '../docker/engine.ts'
import { engineStatus } from '../docker/engine-error.ts'
import { buildImage } from '../docker/image-build.ts'
import { imageNotFound } from '../docker/image-not-found.ts'
import type { BuildSifOptions } from './build-sif.ts'

/** Puts what a SIF is made from into `folder`. @returns the last words of `apptainer build`. */
export async function sifSource(options: BuildSifOptions, folder: string): Promise<string[]> {
  const { from, env, signal, onProgress } = options
  const engine = new DockerEngine(env)
  try {
    const missing = await engine.version(signal).then(() => null, SlotpoolError.from)
    if (missing === null) return [...(await fromEngine(engine, options, folder))]
    // An image of the engine cannot be had without it.
    if (from !== undefined || missing.code !== 'DOCKER_UNAVAILABLE') throw missing
    onProgress?.(`${missing.message}; building without it`)
    return fromDefinition(options, folder)
  } finally {
    engine.close()
  }
}

async function fromEngine(engine: DockerEngine, options: BuildSifOptions, folder: string): Promise<string[]> {
  const { baseImage, env, signal, onProgress = () => {} } = options
  const image = options.from ?? (await builtImage())
  const archive = join(folder, 'image.tar')
  onProgress(`docker save ${image}`)
  try {
    const saved = await engine.call(`save ${image}`, engine.docker.getImage(image).get())
    await pipeline(saved, createWriteStream(archive, { mode: 0o600 }), signal ? { signal } : {})
  } catch (error) {
    if (signal?.aborted) throw new SlotpoolError('CANCELLED', `saving ${image} was given up`, { cause: error })
    throw engineStatus(error) === 404 ? imageNotFound(image, error) : error
  }
  // Without a cache: each build would leave all layers there once more.
  return ['--disable-cache', join(folder, 'image.sif'), `docker-archive:${archive}`]

  async function builtImage(): Promise<string> {
    const { tag } = await buildImage({
      tag: defaultImage,
      ...(baseImage === undefined ? {} : { baseImage }),
      ...(env === undefined ? {} : { env }),
      ...(signal === undefined ? {} : { signal }),
      onProgress: ({ step, steps, instruction, line }) => onProgress(line ?? `[${step}/${steps}] ${instruction}`),
    })
    return tag
  }
}

/** By Apptainer alone: the steps of the Dockerfile as a definition file has them. */
async function fromDefinition({ baseImage }: BuildSifOptions, folder: string): Promise<string[]> {
  const own = join(packageRoot(), 'sandbox-image')
  for (const [name, path] of [
    ['sandbox.def', join(own, 'sandbox.def')],
    ['seccomp-filter.py', join(own, 'seccomp-filter.py')],
    ['sandbox-server.js', sandboxServerBundle()],
    ['sandbox-server.cjs', sandboxServerProgram()],
  ] as const) {
    await copyFile(path, join(folder, name)).catch((cause: Error) => {
      throw new SlotpoolError('IMAGE_BUILD_FAILED', `${path}: cannot be read (${cause.message}); \`npm run build\` makes it`, { cause })
    })
  }
  const words = (await lacksCapabilities()) ? ['--fakeroot'] : []
  if (baseImage !== undefined) words.push('--build-arg', `BOOTSTRAP=${bootstrapOf(baseImage)}`, '--build-arg', `BASE_IMAGE=${baseImage}`)
  return [...words, join(folder, 'image.sif'), 'sandbox.def']
}

/** Apptainer runs the steps of a definition with all that root can have, and fails where this root has less; in a user namespace it has all. */
async function lacksCapabilities(): Promise<boolean> {
  if (process.geteuid?.() !== 0) return false
  const bounding = /^CapBnd:\s*([0-9a-f]+)/m.exec(await readFile('/proc/self/status', 'utf8'))?.[1] ?? '0'
  const last = Number(await readFile('/proc/sys/kernel/cap_last_cap', 'utf8'))
  return BigInt(`0x${bounding}`) !== (1n << BigInt(last + 1)) - 1n
}

/** How Apptainer gets at an image. */
function bootstrapOf(image: string): string {
  if (!isAbsolute(image)) return 'docker'
  return image.endsWith('.tar') ? 'docker-archive' : 'localimage'
}

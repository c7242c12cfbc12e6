import { z } from 'zod'
import { SlotpoolError } from '../../errors.ts'
import { type ImageReference, parseReference } from '../registry/image-reference.ts'
import type { Descriptor, TransferOptions, TransferProgress } from '../registry/registry.ts'
import { cancelled, refNotFound } from '../registry/registry-errors.ts'
import { jsonMessages } from './build-events.ts'
import type { DockerEngine } from './engine.ts'
import { engineAuth } from './engine-auth.ts'
import { engineReason, engineStatus } from './engine-error.ts'

const message = z.object({
  status: z.string().optional(),
  id: z.string().optional(),
  progressDetail: z.object({ current: z.number().optional(), total: z.number().optional() }).optional(),
  error: z.string().optional(),
  aux: z.object({ Digest: z.string().optional(), Size: z.int().optional() }).optional(),
})
type Message = z.infer<typeof message>

/** Has the engine pull an image. See `Registry.pull`. */
export async function pullByEngine(
  engine: DockerEngine,
  reference: string,
  options: TransferOptions,
  env: NodeJS.ProcessEnv,
): Promise<void> {
  const parsed = parseReference(reference)
  const auth = await engineAuth(parsed.host, env)
  // Without a tag the engine would pull all there are.
  const asked = { fromImage: repositoryOf(parsed), tag: parsed.digest ?? parsed.tag, ...signalOf(options) }
  await follow(engine, parsed, 'pull', options, () =>
    auth === undefined ? engine.docker.createImage(asked) : engine.docker.createImage(auth, asked),
  )
}

/** Has the engine push an image that has this very name. Resolves with the manifest that it made. */
export async function pushByEngine(
  engine: DockerEngine,
  reference: string,
  options: TransferOptions,
  env: NodeJS.ProcessEnv,
): Promise<Pick<Descriptor, 'digest' | 'sizeBytes'>> {
  const parsed = parseReference(reference)
  const auth = await engineAuth(parsed.host, env)
  const image = engine.docker.getImage(repositoryOf(parsed))
  const pushed = await follow(engine, parsed, 'push', options, () =>
    // The engine wants to be told that nobody asks, too.
    image.push({ tag: parsed.tag, authconfig: auth ?? {}, ...signalOf(options) }),
  )
  if (pushed !== undefined) return pushed
  throw new SlotpoolError('REGISTRY_REQUEST_FAILED', `the engine ended the push of ${reference} without saying what was pushed`)
}

export function repositoryOf({ host, repository }: ImageReference): string {
  return `${host}/${repository}`
}

/** Reads what the engine says until it has ended. */
async function follow(
  engine: DockerEngine,
  parsed: ImageReference,
  doing: 'pull' | 'push',
  { signal, onProgress = () => {} }: TransferOptions,
  begin: () => Promise<unknown>,
): Promise<Pick<Descriptor, 'digest' | 'sizeBytes'> | undefined> {
  const name = `${repositoryOf(parsed)}${parsed.digest === undefined ? `:${parsed.tag}` : `@${parsed.digest}`}`
  let pushed: Pick<Descriptor, 'digest' | 'sizeBytes'> | undefined
  const checkWanted = (): void => {
    if (signal?.aborted) throw cancelled(`${doing}ing ${name}`, signal.reason)
  }
  checkWanted()
  try {
    const stream = (await begin()) as AsyncIterable<Buffer>
    for await (const said of jsonMessages(stream, message)) {
      if (said.error !== undefined) throw transferFailure(name, parsed, doing, said.error)
      if (said.aux?.Digest !== undefined) pushed = { digest: said.aux.Digest, sizeBytes: said.aux.Size ?? 0 }
      const progress = progressOf(said)
      if (progress !== undefined) onProgress(progress)
    }
  } catch (error) {
    checkWanted()
    if (error instanceof SlotpoolError) throw error
    if (engineStatus(error) !== undefined) throw transferFailure(name, parsed, doing, engineReason(error as Error), error)
    return await engine.call(`${doing} ${name}`, Promise.reject(error))
  }
  checkWanted()
  return pushed
}

const overStatuses = new Set(['Pull complete', 'Already exists', 'Pushed', 'Layer already exists'])
const movingStatuses = new Set(['Pulling fs layer', 'Preparing', 'Downloading', 'Pushing'])

function progressOf({ status = '', id, progressDetail }: Message): TransferProgress | undefined {
  if (id === undefined) return undefined
  const { current = 0, total } = progressDetail ?? {}
  if (overStatuses.has(status) || /^Mounted from/.test(status))
    return { item: id, doneBytes: total ?? current, totalBytes: total ?? null, done: true }
  // A layer that is pushed may come to a little more than was thought.
  return movingStatuses.has(status) ? { item: id, doneBytes: current, totalBytes: total ?? null, done: false } : undefined
}

/** What the registry answered, by the engine's words for it. */
function transferFailure(name: string, { host }: ImageReference, doing: string, words: string, cause?: unknown): SlotpoolError {
  if (/manifest unknown|manifest for .* not found|no matching manifest|name unknown|repository .* not found/i.test(words))
    return refNotFound(name, `registry ${host}`, cause)
  if (/unauthorized|authentication required|no basic auth|denied|incorrect username/i.test(words)) {
    return new SlotpoolError(
      'REGISTRY_UNAUTHORIZED',
      `registry ${host} refused the engine to ${doing} ${name}: ${words}; expected \`docker login ${host}\``,
      {
        cause,
        details: { host, words },
      },
    )
  }
  return new SlotpoolError('REGISTRY_REQUEST_FAILED', `the engine could not ${doing} ${name}: ${words}`, {
    cause,
    details: { host, words },
  })
}

function signalOf({ signal }: TransferOptions): { abortSignal?: AbortSignal } {
  return signal ? { abortSignal: signal } : {}
}

import { z } from 'zod'
import { SlotpoolError } from '../../errors.ts'
import type { Descriptor } from './registry.ts'

/** The documents that name content, of the OCI and of Docker: both are kept as they are. */
export const mediaTypes = {
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
} as const

/** What a manifest may be read as. */
export const manifestTypes: readonly string[] = [mediaTypes.ociManifest, mediaTypes.dockerManifest]
export const indexTypes: readonly string[] = [mediaTypes.ociIndex, mediaTypes.dockerList]

/** The largest document that is read; registries take none that is larger. */
export const maxDocumentBytes = 4 * 1024 * 1024

const sha256 = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'expected a sha256 digest')
const annotations = z.record(z.string(), z.string()).optional()

const descriptor = z.object({ mediaType: z.string().min(1), digest: sha256, size: z.int().min(0) })

const manifest = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.string().optional(),
  config: descriptor,
  layers: z.array(descriptor),
  annotations,
})

const index = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.string().optional(),
  manifests: z.array(
    descriptor.extend({
      annotations,
      platform: z.object({ os: z.string(), architecture: z.string(), variant: z.string().optional() }).optional(),
    }),
  ),
})

const config = z.object({
  created: z.string().nullish(),
  config: z.object({ Labels: z.record(z.string(), z.string()).nullish() }).nullish(),
})

export interface ImageManifest {
  config: Descriptor
  layers: readonly Descriptor[]
  annotations: Readonly<Record<string, string>>
}

export interface ImageIndexEntry extends Descriptor {
  /** Such as `linux/amd64`; undefined where it says none. */
  platform: string | undefined
  annotations: Readonly<Record<string, string>>
}

/** What a manifest names. @throws {SlotpoolError} `REGISTRY_REQUEST_FAILED` for what is none. */
export function readManifest(content: Uint8Array, what: string): ImageManifest {
  const read = parse(manifest, content, what)
  return { config: toDescriptor(read.config), layers: read.layers.map(toDescriptor), annotations: read.annotations ?? {} }
}

/** The images of an index. @throws {SlotpoolError} `REGISTRY_REQUEST_FAILED` for what is none. */
export function readIndex(content: Uint8Array, what: string): ImageIndexEntry[] {
  return parse(index, content, what).manifests.map((one) => ({
    ...toDescriptor(one),
    platform: one.platform && `${one.platform.os}/${one.platform.architecture}`,
    annotations: one.annotations ?? {},
  }))
}

/** When an image was made, and its labels; of a configuration that is of another kind, nothing. */
export function readImageConfig(content: Uint8Array): { createdAtMs: number | null; labels: Record<string, string> } {
  try {
    const { created, config: inner } = config.parse(JSON.parse(Buffer.from(content).toString('utf8')))
    const createdAtMs = Date.parse(created ?? '')
    return { createdAtMs: Number.isNaN(createdAtMs) ? null : createdAtMs, labels: inner?.Labels ?? {} }
  } catch {
    return { createdAtMs: null, labels: {} }
  }
}

function parse<T>(schema: z.ZodType<T>, content: Uint8Array, what: string): T {
  try {
    return schema.parse(JSON.parse(Buffer.from(content).toString('utf8')))
  } catch (cause) {
    throw new SlotpoolError('REGISTRY_REQUEST_FAILED', `${what} is not what its media type says: ${(cause as Error).message}`, {
      cause,
      retryable: false,
    })
  }
}

function toDescriptor({ digest, mediaType, size }: z.infer<typeof descriptor>): Descriptor {
  return { digest, mediaType, sizeBytes: size }
}

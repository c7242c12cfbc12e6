import type { Readable } from 'node:stream'

/** Names content by what it is: the field's descriptor. */
export interface Descriptor {
  /** `sha256:` and 64 hexadecimal digits. */
  digest: string
  mediaType: string
  sizeBytes: number
}

/** What a registry knows of an image. */
export interface ImageInfo extends Descriptor {
  /** As it was asked for. */
  reference: string
  /** Milliseconds since the epoch, or null where nobody noted it down. */
  createdAtMs: number | null
  /** `org.opencontainers.image.description`, and `…source`, or null. */
  description: string | null
  source: string | null
  /** Of the image's configuration. */
  labels: Readonly<Record<string, string>>
  /** Of its manifest. */
  annotations: Readonly<Record<string, string>>
  /** Under which references with a digest remote registries have it, as far as that is known. */
  remoteDigests: readonly string[]
}

/** How far the transfer of one part of an image is. */
export interface TransferProgress {
  /** What is moved: a digest, or the short id that an engine has for a layer. */
  item: string
  doneBytes: number
  /** Null while it is not known. */
  totalBytes: number | null
  /** It is all there. */
  done: boolean
}

/** How an image is pulled or pushed. */
export interface TransferOptions {
  signal?: AbortSignal | undefined
  onProgress?: ((progress: TransferProgress) => void) | undefined
  /** Speak HTTP without TLS to a registry that is not on this machine. Default: false. */
  plainHttp?: boolean | undefined
}

/** Where what builds images may write them itself. */
export interface BuildTarget {
  /** Takes content that is as the descriptor says. @throws {SlotpoolError} `DIGEST_MISMATCH`, and takes nothing. */
  put(descriptor: Descriptor, content: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void>
  /** Makes `reference` name a manifest that was put, with all that it names. @throws {SlotpoolError} `REF_NOT_FOUND` where some is missing. */
  tag(manifest: Descriptor, reference: string, signal?: AbortSignal): Promise<void>
}

/**
 * The store of images that a backend's containers are made from.
 *
 * Each method throws `NOT_IMPLEMENTED` where this store has no such thing, `CANCELLED` on abort, and the store's own errors.
 */
export interface Registry {
  /** Where it is, for people: a folder, or an engine's address. */
  readonly place: string

  /** The references it knows, sorted. */
  list(signal?: AbortSignal): Promise<string[]>

  /** What a reference names. @throws {SlotpoolError} `REF_NOT_FOUND`. */
  resolve(reference: string, signal?: AbortSignal): Promise<Descriptor>

  /** What is known of it. @throws {SlotpoolError} `REF_NOT_FOUND`. */
  inspect(reference: string, signal?: AbortSignal): Promise<ImageInfo>

  /**
   * The content that a descriptor names. The stream fails with `DIGEST_MISMATCH` at its end where it was other content.
   *
   * @throws {SlotpoolError} `REF_NOT_FOUND`.
   */
  fetch(descriptor: Descriptor, signal?: AbortSignal): Promise<Readable>

  /** Makes `target` name what `source` names. What it named before keeps its other names. @throws {SlotpoolError} `REF_NOT_FOUND`. */
  tag(source: string, target: string, signal?: AbortSignal): Promise<void>

  /** Takes a reference away, and the content that none names any more. @throws {SlotpoolError} `REF_NOT_FOUND`. */
  remove(reference: string, signal?: AbortSignal): Promise<void>

  /**
   * Gets an image from the remote registry that its reference names, and keeps it under that reference.
   *
   * @throws {SlotpoolError} `REF_NOT_FOUND`, `REGISTRY_UNAUTHORIZED`, `REGISTRY_REQUEST_FAILED`, `DIGEST_MISMATCH`; nothing of it is kept then.
   */
  pull(reference: string, options?: TransferOptions): Promise<Descriptor>

  /**
   * Sends an image to the remote registry that `remote` names. What is there already is not sent.
   *
   * @returns what the remote registry has it as.
   * @throws {SlotpoolError} as {@link pull}.
   */
  push(reference: string, remote: string, options?: TransferOptions): Promise<Descriptor>

  /** Where builds may write; null where they may not. */
  buildTarget(): BuildTarget | null
}

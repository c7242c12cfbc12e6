import type { Readable } from 'node:stream'
import type { FileEntry, TarBounds, TarResult } from '../../wire/files.ts'
import type { Jail } from '../jail/jail.ts'
import type { SlotBounds } from '../slot-bounds.ts'
import type { WriteOptions } from './write-file.ts'

/** Where files are worked on: in a jail, within the limits of its slot. */
export interface FileSlot {
  readonly jail: Jail
  readonly bounds?: Pick<SlotBounds, 'execution' | 'terms' | 'watch'>
}

/** How much of a folder is listed. */
export interface ListBounds {
  recursive: boolean
  maxEntries: number
}

/**
 * The files of slots. A path is as the slot's own commands see it, relative ones from the workspace. All of it throws `FILE_NOT_FOUND`,
 * `FILE_FAILED`, `FILE_TOO_LARGE` and `CANCELLED`, and leaves what it would have changed as it was.
 */
export interface FileSystem {
  /** Streams a file out of a slot; ends only when it was whole. */
  read(slot: FileSlot, path: string, signal: AbortSignal): Promise<Readable>
  write(slot: FileSlot, path: string, content: Readable, options: WriteOptions, signal: AbortSignal): Promise<void>
  list(slot: FileSlot, path: string, bounds: ListBounds, signal: AbortSignal): Promise<FileEntry[]>
  stat(slot: FileSlot, path: string, signal: AbortSignal): Promise<FileEntry>
  remove(slot: FileSlot, path: string, recursive: boolean, signal: AbortSignal): Promise<void>
  makeFolder(slot: FileSlot, path: string, signal: AbortSignal): Promise<void>
  uploadTar(slot: FileSlot, path: string, content: Readable, bounds: TarBounds, signal: AbortSignal): Promise<TarResult>
  /** Streams a tar out of a slot; ends only when it was whole. */
  downloadTar(slot: FileSlot, path: string, signal: AbortSignal): Promise<Readable>
}

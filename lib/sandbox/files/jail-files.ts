import type { Readable } from 'node:stream'
import type { FileEntry, TarBounds, TarResult } from '../../wire/files.ts'
import { makeFolder, removeFile } from './change-files.ts'
import { downloadTar } from './download-tar.ts'
import type { FileSlot, FileSystem, ListBounds } from './file-system.ts'
import { listFiles, statFile } from './list-files.ts'
import { defaultPatience, type PatienceLimits } from './patience.ts'
import { readFile } from './read-file.ts'
import { uploadTar } from './upload-tar.ts'
import { type WriteOptions, writeFile } from './write-file.ts'

/** The files of real jails, by programs that are run in them. */
export class JailFiles implements FileSystem {
  readonly #patience: PatienceLimits

  constructor(patience: PatienceLimits = defaultPatience) {
    this.#patience = patience
  }

  read(slot: FileSlot, path: string, signal: AbortSignal): Promise<Readable> {
    return readFile(slot, path, this.#options(signal))
  }

  write(slot: FileSlot, path: string, content: Readable, options: WriteOptions, signal: AbortSignal): Promise<void> {
    return writeFile(slot, path, content, { ...options, ...this.#options(signal) })
  }

  list(slot: FileSlot, path: string, bounds: ListBounds, signal: AbortSignal): Promise<FileEntry[]> {
    return listFiles(slot, path, { ...bounds, ...this.#options(signal) })
  }

  stat(slot: FileSlot, path: string, signal: AbortSignal): Promise<FileEntry> {
    return statFile(slot, path, this.#options(signal))
  }

  remove(slot: FileSlot, path: string, recursive: boolean, signal: AbortSignal): Promise<void> {
    return removeFile(slot, path, { recursive, ...this.#options(signal) })
  }

  makeFolder(slot: FileSlot, path: string, signal: AbortSignal): Promise<void> {
    return makeFolder(slot, path, this.#options(signal))
  }

  uploadTar(slot: FileSlot, path: string, content: Readable, bounds: TarBounds, signal: AbortSignal): Promise<TarResult> {
    return uploadTar(slot, path, content, { ...bounds, ...this.#options(signal) })
  }

  downloadTar(slot: FileSlot, path: string, signal: AbortSignal): Promise<Readable> {
    return downloadTar(slot, path, this.#options(signal))
  }

  #options(signal: AbortSignal): { signal: AbortSignal; patience: PatienceLimits } {
    return { signal, patience: this.#patience }
  }
}

import type { Readable } from 'node:stream'
import type { FileEntry, TarBounds, TarResult } from '../../wire/files.ts'
import type { Jail } from '../jail/jail.ts'
import { makeFolder, removeFile } from './change-files.ts'
import { downloadTar } from './download-tar.ts'
import type { FileSystem, ListBounds } from './file-system.ts'
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

  read(jail: Jail, path: string, signal: AbortSignal): Promise<Readable> {
    return readFile(jail, path, this.#options(signal))
  }

  write(jail: Jail, path: string, content: Readable, options: WriteOptions, signal: AbortSignal): Promise<void> {
    return writeFile(jail, path, content, { ...options, ...this.#options(signal) })
  }

  list(jail: Jail, path: string, bounds: ListBounds, signal: AbortSignal): Promise<FileEntry[]> {
    return listFiles(jail, path, { ...bounds, ...this.#options(signal) })
  }

  stat(jail: Jail, path: string, signal: AbortSignal): Promise<FileEntry> {
    return statFile(jail, path, this.#options(signal))
  }

  remove(jail: Jail, path: string, recursive: boolean, signal: AbortSignal): Promise<void> {
    return removeFile(jail, path, { recursive, ...this.#options(signal) })
  }

  makeFolder(jail: Jail, path: string, signal: AbortSignal): Promise<void> {
    return makeFolder(jail, path, this.#options(signal))
  }

  uploadTar(jail: Jail, path: string, content: Readable, bounds: TarBounds, signal: AbortSignal): Promise<TarResult> {
    return uploadTar(jail, path, content, { ...bounds, ...this.#options(signal) })
  }

  downloadTar(jail: Jail, path: string, signal: AbortSignal): Promise<Readable> {
    return downloadTar(jail, path, this.#options(signal))
  }

  #options(signal: AbortSignal): { signal: AbortSignal; patience: PatienceLimits } {
    return { signal, patience: this.#patience }
  }
}

import { mkdir, readdir, rename, rm, rmdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { digestFileName } from './digest.ts'
import type { OciLayout } from './oci-layout.ts'
import type { Descriptor } from './registry.ts'
import { isAbandoned, stagingName } from './staging-name.ts'
import { storing } from './store-failure.ts'

/**
 * Where content of an image lies until all of it is there. The folder is beside the layout, on the same file system, and carries the name of the
 * process that uses it: whoever dies leaves it to the next who pulls.
 */
export class LayoutStaging implements AsyncDisposable {
  readonly #layout: OciLayout
  readonly #folder: string

  private constructor(layout: OciLayout, folder: string) {
    this.#layout = layout
    this.#folder = folder
  }

  static async make(layout: OciLayout): Promise<LayoutStaging> {
    const parent = `${layout.folder}.incoming`
    const folder = join(parent, await stagingName())
    await storing(`make ${folder}`, () => mkdir(folder, { recursive: true, mode: 0o700 }))
    if (process.platform === 'linux') await removeLeftovers(parent)
    return new LayoutStaging(layout, folder)
  }

  path(digest: string): string {
    return join(this.#folder, digestFileName(digest))
  }

  /**
   * Moves what was put here into the layout and has `reference` name `root`.
   *
   * @returns what of `parts` is in neither place: somebody has just removed it. Nothing was changed then.
   */
  async commit(reference: string, root: Descriptor, parts: readonly Descriptor[], signal?: AbortSignal): Promise<Descriptor[]> {
    const missing: Descriptor[] = []
    await this.#layout.change(signal, async (index) => {
      for (const one of parts) if (!(await this.#isHere(one)) && !(await this.#layout.has(one))) missing.push(one)
      if (missing.length > 0) return index
      for (const one of parts) {
        if (!(await this.#isHere(one))) continue
        const target = this.#layout.blobPath(one.digest)
        await storing(`write ${target}`, () => rename(this.path(one.digest), target))
      }
      return index.with(reference, root)
    })
    return missing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
    // The last one out.
    await rmdir(dirname(this.#folder)).catch(() => {})
  }

  async #isHere({ digest, sizeBytes }: Descriptor): Promise<boolean> {
    return (await stat(this.path(digest)).catch(() => undefined))?.size === sizeBytes
  }
}

/** What cannot be removed is in nobody's way. */
async function removeLeftovers(parent: string): Promise<void> {
  for (const name of await readdir(parent).catch(() => [])) {
    if (isAbandoned(name)) await rm(join(parent, name), { recursive: true, force: true }).catch(() => {})
  }
}

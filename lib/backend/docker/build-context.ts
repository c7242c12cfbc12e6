import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { pack } from 'tar-stream'
import { SlotpoolError } from '../../errors.ts'
import { packageRoot, sandboxServerBundle, sandboxServerProgram } from '../../package-root.ts'

/** The files that make the image, by their name in the build's context. */
export interface BuildFiles {
  /** The Dockerfile. Default: the package's own, `sandbox-image/Dockerfile`. */
  dockerfile?: string
  /** The program of the sandbox server. Default: the package's own. */
  bundle?: string
}

/** What lies beside the Dockerfile, and the mode that it has in the image. */
const imageFiles = [
  ['seccomp-filter.py', 0o644],
  ['slot-programs.sh', 0o644],
  ['tools-list.sh', 0o644],
  ['copy-tools', 0o755],
  ['enter-image', 0o644],
] as const

/** All that the build needs as one tar. @throws {SlotpoolError} `IMAGE_BUILD_FAILED` when a file of it is missing. */
export async function buildContext(files: BuildFiles = {}): Promise<Buffer> {
  const tar = pack()
  // Fixed modes and owners, so that the engine's build cache knows the same file again.
  tar.entry({ name: 'Dockerfile', mode: 0o644 }, await content(files.dockerfile ?? join(packageRoot(), 'sandbox-image', 'Dockerfile')))
  for (const [name, mode] of imageFiles) tar.entry({ name, mode }, await content(join(packageRoot(), 'sandbox-image', name)))
  tar.entry({ name: 'sandbox-server.js', mode: 0o644 }, await content(sandboxServerBundle()))
  tar.entry({ name: 'sandbox-server.cjs', mode: 0o644 }, await content(files.bundle ?? sandboxServerProgram()))
  tar.finalize()
  return buffer(tar)
}

async function content(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (cause) {
    throw new SlotpoolError('IMAGE_BUILD_FAILED', `${path}: cannot be read (${(cause as Error).message}); \`npm run build\` makes it`, {
      cause,
      details: { path },
    })
  }
}

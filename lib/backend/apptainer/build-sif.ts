import { chmod, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { SlotpoolError } from '../../errors.ts'
import { isSifPath } from '../../nomad/singularity-task.ts'
import { findProgram } from '../find-program.ts'
import { runApptainer } from './run-apptainer.ts'
import { sifSource } from './sif-source.ts'

/** What {@link buildSif} takes. */
export interface BuildSifOptions {
  /** Where the SIF is put: the absolute path of a `.sif` file. One that is there is replaced when the new one is complete. */
  path: string
  /** The image of the Docker engine that it is made from. Default: one that is built first, as `slotpool image build` does. */
  from?: string
  /**
   * A Debian-based image with Node 20.19 or later that it is built on: with a Docker engine one of that; without, one of a registry, or the absolute path
   * of a `.sif` file or of a `.tar` that `docker save` wrote. Default: the public one that the Dockerfile names.
   */
  baseImage?: string
  /** Called for each line that is printed. */
  onProgress?: (line: string) => void
  signal?: AbortSignal
  /** `PATH`, and what Docker and Apptainer read. Default: the environment. */
  env?: NodeJS.ProcessEnv
}

/**
 * Makes the SIF whose containers serve slots: from an image of the Docker engine, or by `sandbox-image/sandbox.def` where no engine answers. Half a SIF is
 * never at its path, and nothing else is left of it.
 *
 * @throws {SlotpoolError} `CONFIG_INVALID` for a path that is none of a SIF; `IMAGE_BUILD_FAILED` without Apptainer, or with what it printed;
 *   `IMAGE_NOT_FOUND` for `from`; `DOCKER_UNAVAILABLE`, `DOCKER_REQUEST_FAILED`; `CANCELLED`.
 */
export async function buildSif(options: BuildSifOptions): Promise<{ path: string }> {
  const { path, signal, onProgress = () => {}, env = process.env } = options
  if (!isSifPath(path)) {
    const expected = 'the absolute path of a .sif file, for driver singularity'
    throw new SlotpoolError('CONFIG_INVALID', `TERMINAL_NOMAD_IMAGE: got ${JSON.stringify(path)}, expected ${expected}`, {
      details: { variable: 'TERMINAL_NOMAD_IMAGE', got: path, expected },
    })
  }
  const program = findProgram('apptainer', env.PATH) ?? findProgram('singularity', env.PATH)
  if (program === undefined) {
    throw new SlotpoolError(
      'IMAGE_BUILD_FAILED',
      `${path}: neither apptainer nor singularity is on PATH; \`slotpool doctor\` says how to get one`,
    )
  }
  const folder = await folderBeside(path)
  try {
    const words = await sifSource(options, folder)
    onProgress(`${basename(program)} build ${path}`)
    await runApptainer(program, ['build', ...words], { folder, path, onLine: onProgress, signal, env })
    await chmod(join(folder, 'image.sif'), 0o644)
    await rename(join(folder, 'image.sif'), path)
    return { path }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** On the same file system, so that the SIF comes to its place in one step. */
async function folderBeside(path: string): Promise<string> {
  try {
    await mkdir(dirname(path), { recursive: true })
    return await mkdtemp(join(dirname(path), `.${basename(path)}-`))
  } catch (cause) {
    throw new SlotpoolError('IMAGE_BUILD_FAILED', `${path}: its folder cannot be written: ${(cause as Error).message}`, { cause })
  }
}

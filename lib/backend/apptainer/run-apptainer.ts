import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { SlotpoolError } from '../../errors.ts'

const shownLines = 20

export interface ApptainerBuild {
  /** The folder that it stands in, and where it unpacks what it works on. */
  folder: string
  /** What is built, for errors. */
  path: string
  /** Called for each line that it prints. */
  onLine: (line: string) => void
  signal?: AbortSignal | undefined
  env: NodeJS.ProcessEnv
}

/**
 * Runs a build of Apptainer to its end.
 *
 * @throws {SlotpoolError} `IMAGE_BUILD_FAILED` with the last lines that it printed; `CANCELLED`, when nothing of it runs any more.
 */
export async function runApptainer(
  program: string,
  words: readonly string[],
  { folder, path, onLine, signal, env }: ApptainerBuild,
): Promise<void> {
  const printed: string[] = []
  const child = spawn(program, words, {
    cwd: folder,
    env: { ...env, APPTAINER_TMPDIR: folder, SINGULARITY_TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own: what it starts does not end with it.
    detached: true,
  })
  const end = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    } catch {
      // Nobody is left in it.
    }
  }
  signal?.addEventListener('abort', end)
  if (signal?.aborted) end()
  try {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface(stream).on('line', (line) => {
        printed.push(line)
        if (printed.length > shownLines) printed.shift()
        onLine(line)
      })
    }
    const failure = await new Promise<string | null>((resolve) => {
      child.once('error', (error) => resolve(error.message))
      child.once('close', (code, by) => resolve(code === 0 ? null : `it ended with ${by ?? code}`))
    })
    if (signal?.aborted) throw new SlotpoolError('CANCELLED', `the build of ${path} was given up`, { cause: signal.reason })
    if (failure === null) return
    const output = printed.join('\n')
    const said = output === '' ? '' : `. It printed:\n${output}`
    throw new SlotpoolError('IMAGE_BUILD_FAILED', `${path}: ${program} build failed: ${failure}${said}`, { details: { path, output } })
  } finally {
    signal?.removeEventListener('abort', end)
    end()
  }
}

import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { SlotpoolError } from '../errors.ts'
import { toolPath } from './tool-path.ts'

/**
 * Runs a short program of the system on the server's side, with nothing in its environment but a search path, and resolves with what it
 * printed.
 *
 * @throws {SlotpoolError} `JAIL_FAILED` when it is missing or exits with another code than 0.
 */
export async function runTool(file: string, args: readonly string[]): Promise<string> {
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: toolPath, LC_ALL: 'C.UTF-8' } })
  try {
    const [printed, said, code] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve)),
    ])
    if (code === 0) return printed
    throw new Error(said.trim() || `it exited with ${code}`)
  } catch (cause) {
    throw new SlotpoolError('JAIL_FAILED', `${file} failed: ${(cause as Error).message}`, { cause })
  }
}

import { spawn } from 'node:child_process'
import { buffer } from 'node:stream/consumers'
import type { Jail } from './jail/jail.ts'
import { toolPath } from './tool-path.ts'

/** What a short program of the server's own printed and how it ended. */
export interface ProgramResult {
  exitCode: number | null
  stdout: Buffer
  stderr: string
}

/** Runs a short program in a jail, with nothing in its environment but a search path. */
export async function runProgram(jail: Jail, program: readonly string[]): Promise<ProgramResult> {
  const { file, args } = jail.enter({ PATH: toolPath, LANG: 'C.UTF-8' }, program)
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: toolPath }, detached: true })
  const [stdout, stderr, exitCode] = await Promise.all([
    buffer(child.stdout),
    buffer(child.stderr),
    new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve)),
  ])
  return { exitCode, stdout, stderr: stderr.toString() }
}

import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'

/** Runs a program; resolves with its stdout, rejects with all that it said when it exits with anything but 0. */
export async function runProgram(file: string, args: readonly string[]): Promise<string> {
  // Nothing on stdin: on the socket that Node makes for a pipe, bash takes itself for a remote shell and reads its user's start files.
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000, killSignal: 'SIGKILL' })
  const ended = new Promise<string>((resolve, reject) => {
    child.once('error', reject).once('close', (code, signal) => resolve(signal ?? String(code)))
  })
  const [stdout, stderr, end] = await Promise.all([text(child.stdout), text(child.stderr), ended])
  if (end !== '0') {
    throw new Error(
      `got end ${end} of: ${[file, ...args].join(' ').slice(0, 500)}\nstdout: ${stdout.slice(-1000)}\nstderr: ${stderr.slice(-1000)}`,
    )
  }
  return stdout
}

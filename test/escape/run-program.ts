import { execFile } from 'node:child_process'

/** Runs a program; resolves with its stdout, rejects with all that it said when it exits with anything but 0. */
export function runProgram(file: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(file, args, { timeout: 60_000, killSignal: 'SIGKILL', maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${error.message.slice(0, 500)}\nstdout: ${stdout.slice(-1000)}\nstderr: ${stderr.slice(-1000)}`))
      else resolve(stdout)
    })
  })
}

import { execFile } from 'node:child_process'

/** What a tool's output may be at most; all that is read here is a few lines. */
const maxBuffer = 1024 * 1024

/** Runs a tool for its output; it ends with the signal. @throws {Error} with what it wrote to stderr, unless it exits with 0. */
export function outputOf(file: string, args: readonly string[], signal?: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(file, [...args], { maxBuffer, ...(signal ? { signal } : {}) }, (error, stdout, stderr) => {
      if (!error) return resolve(stdout.trim())
      const said = stderr.trim() || stdout.trim() || error.message
      reject(new Error(error.code === 'ENOENT' ? `${file} is not on PATH` : `${file} ${args[0]}: ${said}`, { cause: error }))
    })
  })
}

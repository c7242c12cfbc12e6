import { execFile } from 'node:child_process'

/**
 * What a program says its version is, such as `1.4.5`, from the first thing in its output that looks like one. Null when it cannot be
 * run, fails, or says nothing of the kind; when `signal` aborts, it is killed.
 */
export function programVersion(
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<string | null> {
  return new Promise((resolve) => {
    execFile(program, args, { env, signal, killSignal: 'SIGKILL', maxBuffer: 64 * 1024 }, (error, stdout) => {
      resolve(error ? null : (/\d+\.\d+(\.\d+)?[^\s,]*/.exec(stdout)?.[0] ?? null))
    })
  })
}

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

const join = 'for file in $FILES; do echo 0 > "$file" || exit 99; done; unset FILES;'

/** Runs a shell script that has joined these groups first. Exits with 99 when it could not. */
export function joined(files: readonly string[], script: string): ChildProcess {
  return spawn('bash', ['--norc', '--noprofile', '-c', `${join} ${script}`], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { PATH: process.env.PATH, FILES: files.join(' ') },
    detached: true,
  })
}

/** The next line that a script prints; undefined when it ends without one. */
export async function nextLine(child: ChildProcess): Promise<string | undefined> {
  const lines = createInterface({ input: child.stdout as NonNullable<ChildProcess['stdout']> })
  try {
    return await Promise.race([once(lines, 'line').then(([line]) => line as string), once(lines, 'close').then(() => undefined)])
  } finally {
    lines.close()
  }
}

/** How a script ended. */
export async function ending(child: ChildProcess): Promise<{ exitCode: number | null; signal: string | null }> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return { exitCode: child.exitCode, signal: child.signalCode }
}

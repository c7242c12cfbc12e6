import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { toolPath } from './tool-path.ts'

/** How long the sender may take: what it is sent against may stop or kill it, since it runs as the same user. */
const patienceMs = 2000

/** Users below are the system's own; a slot's uid is far above (`--uid-base`). */
const lowestUid = 1000

/** The program that sends a signal to all that its user may signal, at once: no fork gets past it, as one gets past a walk through /proc. */
export function signalEverything(signal: NodeJS.Signals, bash = 'bash'): string[] {
  return [bash, '--norc', '--noprofile', '-c', `kill -s ${signal.slice(3)} -- -1`]
}

/**
 * The program and arguments that send a signal to every process of a slot's user, which no other may share.
 *
 * @throws {Error} for a user that could not be a slot's: a mistake would end the whole machine.
 */
export function signalUser(uid: number, signal: NodeJS.Signals): { file: string; args: string[] } {
  if (!Number.isSafeInteger(uid) || uid < lowestUid || uid === process.getuid?.() || uid === process.geteuid?.()) {
    throw new Error(`got uid ${uid}, expected the uid of a slot: at least ${lowestUid}, and not the server's own`)
  }
  const becoming = [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--inh-caps=-all', '--bounding-set=-all', '--no-new-privs']
  return { file: 'setpriv', args: [...becoming, 'env', '-i', '--', ...signalEverything(signal)] }
}

/** Runs a program that signals; resolves when it has ended, with whether all went well. Never rejects. */
export async function runSignaller({ file, args }: { file: string; args: string[] }): Promise<boolean> {
  const child = spawn(file, args, { stdio: 'ignore', env: { PATH: toolPath }, detached: true, cwd: '/' })
  const timer = setTimeout(() => {
    try {
      // With the program that it is in the jail, which has not left its group.
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    } catch {
      // It has just ended.
    }
  }, patienceMs)
  try {
    const [exitCode] = (await once(child, 'exit')) as [number | null]
    return exitCode === 0
  } catch {
    return false
  } finally {
    clearTimeout(timer)
  }
}

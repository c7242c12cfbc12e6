import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { processStat } from '../sandbox/processes.ts'
import type { ProcessName } from './process-life.ts'

/**
 * Becomes the program once it is told to, by a line on stdin, and ends when whoever should say so has died. First it closes what descriptors this
 * process inherited, above the number that is its first argument: Node hands them on to every child, and so would the program to all of its own.
 */
const becomeProgram = `
read -r || exit 1
keep=$1
shift
cd /proc/$$/fd
for fd in *; do if ((fd > keep)); then eval "exec $fd>&-"; fi; done
cd /
exec "$@" < /dev/null`

/** A program that runs on when this process has ended. */
export interface DetachedProgram extends ProcessName {
  child: ChildProcess
  /** Has it begin. It never does when this process dies before: until then nobody may know that it is there. */
  begin(): void
}

/**
 * Starts a program in a process group of its own, with its output in a file; `moreStdio` are its descriptors from 3 on.
 *
 * @throws {Error} when bash cannot be started.
 */
export async function detachedProgram(
  program: readonly string[],
  options: { logFd: number; env: NodeJS.ProcessEnv; moreStdio?: readonly 'pipe'[] },
): Promise<DetachedProgram> {
  const { logFd, env, moreStdio = [] } = options
  const stdio = ['pipe', logFd, logFd, ...moreStdio] as const
  const child = spawn('bash', ['--norc', '-c', becomeProgram, 'slotpool', String(stdio.length - 1), ...program], {
    detached: true,
    cwd: '/',
    stdio: [...stdio],
    env,
  })
  await once(child, 'spawn')
  const pid = child.pid as number
  return {
    pid,
    startTicks: (await processStat(pid))?.startTicks ?? 0,
    child,
    begin: () => {
      const stdin = child.stdin as Writable
      // It has ended already, which shows where its answer is waited for.
      stdin.on('error', () => {})
      stdin.end('\n')
    },
  }
}

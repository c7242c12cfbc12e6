import { executionVariable } from './environment.ts'
import { toolPath } from './tool-path.ts'

/**
 * What enters the jail for a command: a shell that takes the command's environment from descriptor 3, goes to the working directory, says
 * on descriptor 3 that it got there, and becomes the `bash -c` of the command. What is said there tells a failure of ours from one of the
 * command's; nothing of it is left for the command.
 *
 * The caller's variables reach the command's own bash alone. In this shell BASH_ENV, CDPATH, SHELLOPTS and functions would do their work
 * too; and as arguments of the tools that lead here, they could be read in the process list for as long as the command runs. What a jail
 * marks its processes with is handed on.
 *
 * Should the kernel refuse the command, descriptor 3 is there again to say so.
 */
const script = `
mapfile -t -d '' -u 3 environment
cd -- "$1" 2> /dev/null || { printf 'no-cwd %s' "$(cd -- "$1" 2>&1)" >&3; exit 1; }
printf 'started\\n' >&3
shopt -s execfail
{ exec env -i -- "\${environment[@]}" "PWD=$PWD" \${SLOTPOOL_SLOT+"SLOTPOOL_SLOT=$SLOTPOOL_SLOT"} "$BASH" -c -- "$2" bash; } 3>&-
printf 'not-run %s' "$?" >&3
exit 1`

/** What bash says of a program that is there and that the kernel does not run: its arguments are too long. */
const notRunnable = 'not-run 126'

/** What the entry said: that the command began, or why it did not; neither when it never got so far. */
export interface EntryReport {
  started: boolean
  /** Why there is no such working directory. */
  noCwd?: string
  /** The command and its environment are longer than the kernel takes. */
  tooLong?: true
  /** What else kept it from being begun, where that was said. */
  reason?: string
}

/** The program and arguments for a command; `cwd` is absolute or relative to the workspace. */
export function entryProgram(cwd: string, command: string): string[] {
  return ['bash', '--norc', '-c', script, 'slotpool', cwd, command]
}

/** What the entry itself is run with: nothing of the caller's, and what tells the processes of an execution. */
export function entryEnvironment(executionId: string): Record<string, string> {
  return { PATH: toolPath, LANG: 'C.UTF-8', [executionVariable]: executionId }
}

/** The environment of the command, as the entry reads it from descriptor 3. */
export function handedEnvironment(env: Readonly<Record<string, string>>): string {
  return Object.entries(env)
    .map(([name, value]) => `${name}=${value}\0`)
    .join('')
}

/** Reads what was said on descriptor 3. */
export function readReport(text: string): EntryReport {
  if (text.startsWith('no-cwd ')) {
    const reason = text.slice('no-cwd '.length).replace(/^.*?: cd: /, '')
    return { started: false, noCwd: reason.trim() }
  }
  const [begun, failed] = text.split('\n')
  if (begun !== 'started' || failed === undefined) return { started: false }
  if (failed === notRunnable) return { started: false, tooLong: true }
  return { started: failed === '' }
}

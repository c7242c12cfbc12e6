/**
 * What enters the jail for a command: a shell that goes to the working directory, says on descriptor 3 that it got there, and becomes the
 * `bash -c` of the command. What is said there tells a failure of ours from one of the command's; nothing of it is left for the command.
 */
const script =
  'cd -- "$1" 2> /dev/null || { printf "no-cwd %s" "$(cd -- "$1" 2>&1)" >&3; exit 1; }; printf started >&3; exec bash -c "$2" 3>&-'

/** What the entry said: that the command began, why there is no such working directory, or that it never got so far. */
export type EntryReport = { started: boolean; noCwd?: string }

/** The program and arguments for a command; `cwd` is absolute or relative to the workspace. */
export function entryProgram(cwd: string, command: string): string[] {
  return ['bash', '-c', script, 'slotpool', cwd, command]
}

/** Reads what was said on descriptor 3. */
export function readReport(text: string): EntryReport {
  if (text.startsWith('no-cwd '))
    return {
      started: false,
      noCwd: text
        .slice('no-cwd '.length)
        .replace(/^.*?: cd: /, '')
        .trim(),
    }
  return { started: text === 'started' }
}

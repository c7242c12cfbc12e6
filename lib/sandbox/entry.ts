/**
 * What enters the jail for a command: a shell that goes to the working directory, says on descriptor 3 that it got there, and becomes the
 * `bash -c` of the command. What is said there tells a failure of ours from one of the command's; nothing of it is left for the command.
 */
const script = 'cd -- "$1" || { printf %s no-cwd >&3; exit 1; }; printf %s started >&3; exec bash -c "$2" 3>&-'

/** The program and arguments for a command; `cwd` is absolute or relative to the workspace. */
export function entryProgram(cwd: string, command: string): string[] {
  return ['bash', '-c', script, 'slotpool', cwd, command]
}

/** What the entry said: that the command began, that there is no such working directory, or (undefined) that it never got so far. */
export function readReport(text: string): 'started' | 'no-cwd' | undefined {
  return text === 'started' || text === 'no-cwd' ? text : undefined
}

import type { Machine } from './machine.ts'

/** The command as this user has to type it for it to run as root. */
export function asRoot({ isRoot }: Pick<Machine, 'isRoot'>, command: string): string {
  if (isRoot) return command
  // With sudo before it, only the first part of such a line would run as root.
  if (/&&|\||>|&$/.test(command)) return `sudo sh -c '${command.replaceAll("'", "'\\''")}'`
  return `sudo ${command}`
}

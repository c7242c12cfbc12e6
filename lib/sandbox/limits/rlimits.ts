import { type HardLimits, ownHardLimits } from './hard-limits.ts'

/** What each process of a slot is bound to; what is left out stays as it is. See setrlimit(2). */
export interface ProcessLimits {
  /** Files that it may have open. */
  openFiles?: number
  /** How long it may make a file, in bytes; counted up to the next KiB. 0: no file gets any longer. */
  fileBytes?: number
  /** How many processes its user may have, where no control group counts them. It does not bind the machine's own root. */
  processes?: number
}

/**
 * Commands for the bash that is about to enter a jail: builtins alone, so they cost nothing. They bind it and all that it starts, for good
 * and never to more than it was bound to before. No process of a slot leaves a core file. The shell ends with 1 where a limit is refused.
 *
 * @param present What this process, and so the shell, is bound to now.
 */
export function rlimitScript(limits: ProcessLimits, present: HardLimits = ownHardLimits()): string {
  const { openFiles, fileBytes, processes } = limits
  const commands = ['ulimit -c 0']
  if (openFiles !== undefined) commands.push(`ulimit -n ${Math.min(openFiles, present.n)}`)
  // bash counts in KiB, and of the present limit what is left over is not to be rounded up.
  if (fileBytes !== undefined) commands.push(`ulimit -f ${Math.min(Math.ceil(fileBytes / 1024), Math.floor(present.f / 1024))}`)
  if (processes !== undefined) commands.push(`ulimit -u ${Math.min(processes, present.u)}`)
  return `${commands.join(' && ')} || exit 1`
}

import { SlotpoolError } from '../errors.ts'

/** What cannot be taken back on a machine without isolation. In an isolated slot nothing is refused: it hurts only itself. */
const destructive: readonly [RegExp, string][] = [
  [/\brm\s+(-\S+\s+)*(--\s+)?(\/|~|\$HOME)(\*|\/)*(\s|$|;|&)/, 'deletes the root or home folder'],
  [/\bmkfs(\.\w+)?\s/, 'makes a filesystem'],
  [/\bdd\b.*\bof=\/dev\/(?!null|stdout|stderr)/, 'writes to a device'],
  [/>\s*\/dev\/(sd|nvme|vd|hd|mmcblk)/, 'writes to a disk'],
  [/:\(\)\s*\{\s*:\s*\|\s*:\s*&?\s*\}\s*;\s*:/, 'is a fork bomb'],
  [/(^|[;&|(\n]|\bsudo\s)\s*(\/(usr\/)?s?bin\/)?(shutdown|reboot|halt|poweroff)(\s|$|[;&|)])/, 'shuts the machine down'],
  [/\bchmod\s+(-\S+\s+)*[0-7]*\s+\/(\s|$)/, 'changes the mode of the root folder'],
]

/**
 * Stops a slip, not an attacker: a few commands that would harm the machine itself are refused where a slot has no isolation.
 *
 * @throws {SlotpoolError} `COMMAND_REFUSED`; `force` runs it all the same.
 */
export function refuseDestructive(command: string): void {
  for (const [pattern, what] of destructive) {
    if (!pattern.test(command)) continue
    throw new SlotpoolError('COMMAND_REFUSED', `the command ${what}, and this slot has no isolation (TERMINAL_ISOLATION=none)`, {
      details: { pattern: pattern.source },
    })
  }
}

import { createHash } from 'node:crypto'
import type { CommandPlan } from './task-plan.ts'

/** Where slots see the folder of the ledger. */
export const ledgerTarget = '/chaos'
export const ledgerName = 'ledger'

/** What a command of kind `large` prints after its first lines. */
export const largeBytes = 1024 * 1024
/** What one command may print, as a limit of the pool. */
export const outputLimitBytes = 4 * 1024 * 1024
/** Printed by a command of kind `limit`: 6.9 MB. */
const beyondLimit = 1_000_000
/** Enough numbers for `largeBytes`. */
const largeNumbers = 170_000

/** A command of kind `timeout` may take so long. It has to have written its lines by then on a machine that is busy. */
export const shortTimeoutMs = 1_500
/** All others may take so long that only a fault could keep them from ending in time. */
export const longTimeoutMs = 60_000

/**
 * The command as bash gets it. Its line goes into the ledger, which is outside of the slot, and into a file of the workspace; then it prints the
 * line, how many lines the file has by now, and what its kind is there for. All with what bash has itself: a process costs more than the rest.
 */
export function commandText({ kind, sleepMs, exitCode, line }: CommandPlan): string {
  const lines = [
    `line='${line}'`,
    `echo "$line" >> ${ledgerTarget}/${ledgerName}`,
    'echo "$line" >> journal',
    'mapfile -t journal < journal',
    `printf '%s\\n%s\\n' "$line" "\${#journal[@]}"`,
  ]
  if (sleepMs > 0) lines.push(`sleep ${sleepMs / 1000}`)
  const rest: Record<CommandPlan['kind'], string | undefined> = {
    plain: undefined,
    exit: `exit ${exitCode}`,
    large: `seq 1 ${largeNumbers} | head -c ${largeBytes}`,
    background: 'sleep 600 &',
    timeout: 'sleep 600',
    cancel: 'sleep 600',
    limit: `seq 1 ${beyondLimit}`,
  }
  const last = rest[kind]
  return [...lines, ...(last === undefined ? [] : [last])].join('\n')
}

/** What a command of kind `large` prints after its first lines. */
export function largeOutput(): string {
  return `${Array.from({ length: largeNumbers }, (_, at) => at + 1).join('\n')}\n`.slice(0, largeBytes)
}

/** Tells one output from another. */
export function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}

/** What a command has said. */
export interface Said {
  /** It has printed its line: it was run, and says so. */
  claimed: boolean
  /** How many lines its workspace had after its own; null where it did not come to say it. */
  journal: number | null
  restBytes: number
  restDigest: string
}

export function readOutput(line: string, stdout: string): Said {
  const [first, second, ...rest] = stdout.split('\n')
  const after = rest.join('\n')
  const claimed = first === line && second !== undefined
  const journal = claimed && rest.length > 0 && /^[0-9]+$/.test(second) ? Number(second) : null
  return { claimed, journal, restBytes: Buffer.byteLength(after), restDigest: digest(after) }
}

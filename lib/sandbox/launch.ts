import type { EntryReport } from './entry.ts'
import type { EntryTerms } from './jail/entry-terms.ts'
import type { OutputPipe } from './output-pipe.ts'

/** A command to be brought into a slot. */
export interface Launch {
  executionId: string
  command: string
  /** Absolute, as the slot sees it. */
  cwd: string
  env: Readonly<Record<string, string>>
  mergeStderr: boolean
  terms: EntryTerms
  /** Called right before it is started. Throws when it is not to be any more. */
  isWanted(): void
}

/** A command on its way in a slot. */
export interface Launched {
  /** The process that its others descend from, as the server sees it; it leads a session. 0 when it has ended already. */
  readonly leader: number
  /** For stdout, and for stderr where it has a pipe of its own. */
  outputs: readonly OutputPipe[]
  ended: Promise<{ exitCode: number | null; signal: NodeJS.Signals | null }>
  /** Whether it was begun; known once it has ended. */
  report: Promise<EntryReport>
}

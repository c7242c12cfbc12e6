import { limitText } from '../pool/limits-text.ts'
import type { LimitName, LimitsInForce } from '../wire/limits.ts'

/** Of each limit that a command can run into: which one it is, what comes of it, and what to do. */
const notes: Record<LimitName, { limit: keyof LimitsInForce; meaning: string }> = {
  memory: { limit: 'memoryBytes', meaning: 'what asked for more was ended. Work on less at once, or in parts.' },
  processes: {
    limit: 'processes',
    meaning: 'no further process or thread could be started. Start fewer at once, and end what runs in the background.',
  },
  disk: { limit: 'diskBytes', meaning: 'nothing more could be written. Delete what is no longer needed.' },
  output: { limit: 'outputBytes', meaning: 'what comes after it is lost. Write large output to a file, and look at parts of it.' },
}

/** What a limit that was reached means, in one line; null where none was. */
export function limitNote(reached: LimitName | null, limits: LimitsInForce): string | null {
  if (reached === null) return null
  const { limit, meaning } = notes[reached]
  const inForce = limits[limit]
  const what = inForce ? ` (${limitText(limit, inForce.value)})` : ''
  return `The ${reached} limit of this slot${what} was reached: ${meaning}`
}

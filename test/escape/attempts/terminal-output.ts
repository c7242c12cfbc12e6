import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { reportError } from '../../../lib/cli/output.ts'
import { renderStatus } from '../../../lib/cli/render-status.ts'
import { SlotpoolError } from '../../../lib/errors.ts'
import type { Attempt } from '../attempt.ts'

/**
 * Has slotpool itself print sequences that a terminal obeys, which retitle windows, hide lines, or type: in the name of a task, which status
 * shows, and in names of files, which errors show. What a command wrote is another thing: it belongs to whoever asked for it.
 */
const obeyed = /[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/u

const hostile = ['\u001b]0;title\u0007', '\u001b[2J', '\u009b2J', '\u202egnp.exe', '\rstart']

/** What is in a text that a terminal would obey; ends of lines and tabs may be. */
function found(text: string): string | null {
  const one = obeyed.exec(text.replaceAll(/[\n\t]/g, ''))
  return one === null
    ? null
    : `${JSON.stringify(text.slice(Math.max(0, text.indexOf(one[0]) - 40), text.indexOf(one[0]) + 20))} is printed as it is`
}

/** What the CLI writes to a person of an error. */
function reported(error: SlotpoolError): string {
  const write = process.stderr.write
  let said = ''
  process.stderr.write = ((text: string) => {
    said += text
    return true
  }) as typeof process.stderr.write
  try {
    reportError(error, false)
  } finally {
    process.stderr.write = write
  }
  return said
}

const control = async (): Promise<string | null> => found(hostile.join(''))

export const attempts: Attempt[] = [
  {
    name: 'sequences in the name of a task, shown by status',
    escape: async ({ pool, mark, after }) => {
      for (const text of hostile) {
        try {
          const slot = await pool.lease(`${mark}${text}`)
          after(() => slot.release())
        } catch (error) {
          if (!(error instanceof SlotpoolError) || error.code !== 'REQUEST_INVALID') throw error
          // Refused; and that is shown to a person, too.
          const said = found(reported(error))
          if (said !== null) return said
        }
      }
      return found(renderStatus(await pool.status()))
    },
    control,
  },
  {
    name: 'sequences in the names of files, shown by errors',
    escape: async ({ attacker, after }) => {
      const folder = await mkdtemp(join(tmpdir(), 'slotpool-download-'))
      after(() => rm(folder, { recursive: true }))
      let refusals = 0
      for (const text of hostile) {
        await attacker.files.makeFolder('hostile')
        // A link that leads out is refused, by its name.
        await attacker.exec('ln -s /etc/passwd "hostile/$NAME"', { env: { NAME: `x${text}` } })
        const error = await attacker.files.download('hostile', join(folder, 'into')).catch((thrown: unknown) => thrown)
        await attacker.files.remove('hostile', { recursive: true })
        if (!(error instanceof SlotpoolError)) continue
        refusals++
        const said = found(reported(error))
        if (said !== null) return said
      }
      if (refusals === 0) throw new Error('nothing was refused')
      return null
    },
    control,
  },
]

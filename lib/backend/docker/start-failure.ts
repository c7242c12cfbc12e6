import { SlotpoolError } from '../../errors.ts'
import { findError } from '../../wire/error.ts'

const marker = 'slotpool-error: '
const shownLines = 20

/**
 * Why a sandbox server ended before it served: its own error where it printed one, else `CONTAINER_FAILED` with the last lines.
 *
 * @param what names the container, such as `container slotpool-default-0`.
 * @param happened completes a sentence about it, such as `ended with exit code 1 before its sandbox server answered`.
 */
export function startFailure(what: string, happened: string, output: string): SlotpoolError {
  const lines = output.split('\n').filter((line) => line.trim() !== '')
  const marked = lines.findLast((line) => line.startsWith(marker))
  const own = marked === undefined ? undefined : findError(marked.slice(marker.length))
  if (own !== undefined) return own
  const tail = lines.slice(-shownLines).join('\n')
  const said = tail === '' ? 'It printed nothing.' : `Its last lines:\n${tail}`
  return new SlotpoolError('CONTAINER_FAILED', `${what} ${happened}. ${said}`, {
    details: { output: tail },
  })
}

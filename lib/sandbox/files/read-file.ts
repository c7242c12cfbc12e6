import type { Readable } from 'node:stream'
import type { FileSlot } from './file-system.ts'
import type { PatienceLimits } from './patience.ts'
import { streamOut } from './stream-out.ts'

/** What was opened is looked at once more: another may have put a pipe in its place. `test` asks the descriptor itself. */
const script = `
if [ ! -e "$1" ]; then echo "no such file" >&2; exit 44; fi
if [ ! -f "$1" ]; then echo "not a regular file" >&2; exit 45; fi
exec 4< "$1" || exit 45
if [ ! -f /dev/fd/4 ]; then echo "not a regular file" >&2; exit 45; fi
exec cat <&4 4<&-`

/**
 * Streams a file out of a slot. Resolves once its first bytes are there. The stream ends only when the whole file was read; whatever cuts
 * it short, such as the end of the lease, destroys it with an error.
 *
 * @throws {SlotpoolError} `FILE_NOT_FOUND`; `FILE_FAILED` with the reason when it is no regular file or may not be read; `CANCELLED`.
 */
export function readFile(slot: FileSlot, path: string, options: { signal: AbortSignal; patience: PatienceLimits }): Promise<Readable> {
  return streamOut({ slot, script, path, ...options })
}

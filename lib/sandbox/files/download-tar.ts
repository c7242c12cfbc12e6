import type { Readable } from 'node:stream'
import type { FileSlot } from './file-system.ts'
import type { PatienceLimits } from './patience.ts'
import { streamOut } from './stream-out.ts'

/** `tar` opens no pipes and follows no links. It ends with 1 when a file changed while it was read: it has it as it was then. */
const script = `
if [ ! -e "$1" ]; then echo "no such file" >&2; exit 44; fi
if [ -d "$1" ]; then
  tar -c -f - -C "$1" .
elif [ -f "$1" ]; then
  tar -c -h -f - -C "\${1%/*}/" -- "./\${1##*/}"
else
  echo "neither a folder nor a regular file" >&2; exit 45
fi
[ $? -le 1 ] || exit 45`

/**
 * A tar of what is in a folder, or of one file, as the slot's own `tar` makes it: nothing of it is to be believed. Resolves once it has
 * begun; ends only when it was whole.
 *
 * @throws {SlotpoolError} `FILE_NOT_FOUND`; `FILE_FAILED`, also from the stream; `CANCELLED`.
 */
export function downloadTar(slot: FileSlot, path: string, options: { signal: AbortSignal; patience: PatienceLimits }): Promise<Readable> {
  return streamOut({ slot, script, path, ...options })
}

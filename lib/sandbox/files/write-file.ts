import { randomUUID } from 'node:crypto'
import type { Readable } from 'node:stream'
import { SlotpoolError } from '../../errors.ts'
import { maxFileBytes } from '../../wire/files.ts'
import { bodyOf } from './body.ts'
import type { FileSlot } from './file-system.ts'
import type { PatienceLimits } from './patience.ts'
import { slotPath } from './slot-path.ts'
import { withProgram } from './slot-program.ts'

/**
 * Written beside its target and moved over it, so that nobody meets half a file; an existing file keeps its mode unless another is given.
 * That the content was whole is said on a pipe of its own: the end of stdin alone could be a cut. Each program that bash does not have in
 * itself takes a slot a millisecond or two to start, so there is none without need.
 */
const script = `
umask 022
if [ -d "$1" ]; then echo "it is a folder" >&2; exit 45; fi
if [ -e "$1" ] && [ ! -f "$1" ]; then echo "not a regular file" >&2; exit 45; fi
folder=\${1%/*}/
[ -d "$folder" ] || mkdir -p -- "$folder" || exit 45
new=$folder.slotpool-$2
trap 'rm -f -- "$new"' EXIT
set -C
: > "$new" || exit 45
set +C
if [ -n "$3" ]; then chmod "$3" -- "$new" || exit 45
elif [ -f "$1" ]; then
  # The first of them is GNU's.
  chmod --reference="$1" -- "$new" 2> /dev/null || chmod "$(stat -L -c %a -- "$1")" -- "$new" || exit 45
fi
cat 3<&- > "$new" || exit 45
read -r -u 3 bytes || { echo "the content was cut short" >&2; exit 46; }
if [ "$(stat -c %s -- "$new")" != "$bytes" ]; then echo "the content was cut short" >&2; exit 46; fi
mv -fT -- "$new" "$1" || exit 45
trap - EXIT`

/** How a file is written. */
export interface WriteOptions {
  /** The length that was announced, where it was. */
  bytes?: number | undefined
  /** Permission bits. Default: those of the file that is replaced, else 0o644. */
  mode?: number | undefined
}

/**
 * Writes a file in a slot, making its folder where that is missing. Content that is longer or shorter than announced, or cut short, is
 * refused and leaves the old file as it was.
 *
 * @throws {SlotpoolError} `FILE_TOO_LARGE` beyond {@link maxFileBytes}; `FILE_FAILED` with the reason; `CANCELLED`.
 */
export async function writeFile(
  slot: FileSlot,
  path: string,
  content: Readable,
  { bytes, mode, ...options }: WriteOptions & { signal: AbortSignal; patience: PatienceLimits },
): Promise<void> {
  const argument = slotPath(path)
  if (bytes !== undefined && bytes > maxFileBytes) throw tooLarge(path, `of ${bytes} bytes`)
  const args = [argument, randomUUID(), mode === undefined ? '' : mode.toString(8)]
  await withProgram({ slot, script, args, path, control: true, ...options }, async (program) => {
    let written = 0
    async function* counted(): AsyncGenerator<Buffer> {
      for await (const chunk of bodyOf(content)) {
        written += chunk.length
        if (written > maxFileBytes) throw tooLarge(path, `of more than ${maxFileBytes} bytes`)
        yield chunk
      }
      if (bytes !== undefined && bytes !== written) {
        const reason = `the content was cut short: got ${written} bytes, expected ${bytes}`
        throw new SlotpoolError('FILE_FAILED', `got path ${path}: ${reason}`, { details: { path, reason } })
      }
    }
    await program.feed(counted())
    program.control?.end(`${written}\n`)
    program.stdin.end()
  })
}

function tooLarge(path: string, got: string): SlotpoolError {
  return new SlotpoolError('FILE_TOO_LARGE', `got a file ${got}, expected at most ${maxFileBytes}`, { details: { path } })
}

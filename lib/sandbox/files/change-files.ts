import type { FileSlot } from './file-system.ts'
import type { PatienceLimits } from './patience.ts'
import { slotPath } from './slot-path.ts'
import { withProgram } from './slot-program.ts'

/**
 * `rm` walks by descriptor and follows no link, whatever is swapped under it. The folders that a slot consists of are mounted there: they
 * would be emptied and then stay. What is above them is kept too: without isolation that is the machine's own.
 */
const removeScript = `
path=$1
if [ ! -e "$path" ] && [ ! -L "$path" ]; then echo "no such file" >&2; exit 44; fi
recursive=$2
shift 2
if [ -d "$path" ] && [ ! -L "$path" ]; then
  for kept in "$@"; do
    while :; do
      if [ "$path" -ef "$kept/" ]; then echo "it is a folder that the slot consists of, or above one" >&2; exit 45; fi
      [ -n "$kept" ] || break
      kept=\${kept%/*}
    done
  done
  if [ -z "$recursive" ]; then rmdir -- "$path" || exit 45; exit 0; fi
fi
rm -rf -- "$path" || exit 45`

const folderScript = `
umask 022
mkdir -p -- "$1" || exit 45`

interface Options {
  signal: AbortSignal
  patience: PatienceLimits
}

/**
 * Removes a file, a link itself, an empty folder, or with `recursive` a folder with all that is in it.
 *
 * @throws {SlotpoolError} `FILE_NOT_FOUND`; `FILE_FAILED` with the reason; `CANCELLED`.
 */
export function removeFile(slot: FileSlot, path: string, { recursive, ...options }: Options & { recursive: boolean }): Promise<void> {
  const { workspace, home, tmp } = slot.jail.view
  const args = [slotPath(path), recursive ? 'recursive' : '', workspace, home, tmp]
  return withProgram({ slot, script: removeScript, args, path, ...options }, async (program) => void program.stdin.end())
}

/** Makes a folder, and those above it where they are missing; one that is there is no error. @throws {SlotpoolError} `FILE_FAILED`, `CANCELLED`. */
export function makeFolder(slot: FileSlot, path: string, options: Options): Promise<void> {
  return withProgram({ slot, script: folderScript, args: [slotPath(path)], path, ...options }, async (program) => void program.stdin.end())
}

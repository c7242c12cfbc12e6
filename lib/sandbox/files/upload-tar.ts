import { randomUUID } from 'node:crypto'
import type { Readable } from 'node:stream'
import { SlotpoolError } from '../../errors.ts'
import type { TarBounds, TarResult } from '../../wire/files.ts'
import { tarEntries } from '../../wire/tar/tar-entries.ts'
import { type TarMember, writeTar } from '../../wire/tar/tar-writer.ts'
import { bodyOf } from './body.ts'
import type { FileSlot } from './file-system.ts'
import type { PatienceLimits } from './patience.ts'
import { slotPath } from './slot-path.ts'
import { withProgram } from './slot-program.ts'

/**
 * Unpacks beside the target, in the nearest folder that exists, so that moving is renaming; looks whether all of it can be moved; moves it.
 * A folder that is there already stays as it is, and gets what is new in it. Until the tar was whole and fits, nothing but the staging
 * folder was touched.
 */
const script = `
umask 022
shopt -s dotglob nullglob
base=$1
while case $base in */) true ;; *) false ;; esac; do base=\${base%/}; done
rest=
while [ ! -d "$base/" ]; do
  if [ -e "$base" ] || [ -L "$base" ] || [ "$base" = . ]; then echo "$base is not a folder" >&2; exit 45; fi
  rest=/\${base##*/}$rest
  base=\${base%/*}
done
case $rest/ in */../*) echo "a folder above is missing" >&2; exit 45 ;; esac
staging=$base/.slotpool-$2
trap 'rm -rf -- "$staging"' EXIT
mkdir -m 700 -- "$staging" || exit 45
mkdir -p -- "$staging$rest" || exit 45
tar -x -o -p -f - -C "$staging$rest" 3<&- || exit 45
read -r -u 3 whole || { echo "the tar was cut short" >&2; exit 46; }
[ "$whole" = whole ] || exit 46
walk() {
  local one name to batch=()
  if [ ! -w "$base/$1" ]; then echo "$base/$1 may not be written" >&2; return 1; fi
  for one in "$staging/$1"*; do
    name=\${one##*/}
    to=$base/$1$name
    if [ -d "$one" ] && [ ! -L "$one" ]; then
      if [ -d "$to" ]; then walk "$1$name/" "$2" || return 1; continue; fi
      if [ -e "$to" ] || [ -L "$to" ]; then echo "$to is there and is no folder" >&2; return 1; fi
    elif [ -d "$to" ] && [ ! -L "$to" ]; then echo "$to is there and is a folder" >&2; return 1
    fi
    [ -n "$2" ] || continue
    batch+=("$one")
    if [ \${#batch[@]} -ge 200 ]; then mv -f -- "\${batch[@]}" "$base/$1" || return 1; batch=(); fi
  done
  [ \${#batch[@]} = 0 ] || mv -f -- "\${batch[@]}" "$base/$1"
}
walk '' '' || exit 45
walk '' place || exit 45`

/**
 * Unpacks a tar into a folder of a slot, which is made where it is missing. Either all of it is there afterwards, or the slot is as it was.
 * The slot's `tar` gets another one, written from what was checked.
 *
 * @throws {SlotpoolError} `FILE_TOO_LARGE` beyond a bound; `FILE_FAILED` for what is no whole tar of files, folders and links, or cannot be
 *   unpacked there; `CANCELLED`.
 */
export async function uploadTar(
  slot: FileSlot,
  path: string,
  content: Readable,
  { maxBytes, maxEntries, ...options }: TarBounds & { signal: AbortSignal; patience: PatienceLimits },
): Promise<TarResult> {
  const result = { entries: 0, bytes: 0 }
  async function* members(): AsyncGenerator<TarMember> {
    for await (const entry of tarEntries(bodyOf(content), { maxBytes, maxEntries })) {
      const { type } = entry
      if (type === 'other') throw notTaken(entry.path)
      if (entry.path === '') continue
      result.entries++
      result.bytes += entry.bytes
      // A folder that its owner could not write could be neither moved nor removed.
      yield { ...entry, type, mode: type === 'folder' ? entry.mode | 0o700 : entry.mode }
    }
  }
  await withProgram({ slot, script, args: [slotPath(path), randomUUID()], path, control: true, ...options }, async (program) => {
    await program.feed(writeTar(members()))
    program.control?.end('whole\n')
    program.stdin.end()
  })
  return result
}

function notTaken(path: string): SlotpoolError {
  const reason = `got an entry ${JSON.stringify(path)} that is a device or a pipe`
  return new SlotpoolError('FILE_FAILED', `${reason}, expected files, folders and links`, { details: { path, reason } })
}

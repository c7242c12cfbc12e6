import { SlotpoolError } from '../../errors.ts'
import type { FileEntry } from '../../wire/files.ts'
import type { FileSlot } from './file-system.ts'
import { ListingReader, listingFormat } from './listing.ts'
import type { PatienceLimits } from './patience.ts'
import { slotPath } from './slot-path.ts'
import { type SlotProgram, withProgram } from './slot-program.ts'

/** `find` walks by descriptor and follows no link, whatever is swapped under it. */
const listScript = `
if [ ! -e "$1" ]; then echo "no such folder" >&2; exit 44; fi
if [ ! -d "$1" ]; then echo "not a folder" >&2; exit 45; fi
cd -- "$1" || exit 45
depth=()
if [ -z "$2" ]; then depth=(-maxdepth 1); fi
find . -ignore_readdir_race -mindepth 1 "\${depth[@]}" -printf '${listingFormat}' || exit 45`

const statScript = `
if [ ! -e "$1" ] && [ ! -L "$1" ]; then echo "no such file" >&2; exit 44; fi
find "$1" -maxdepth 0 -printf '${listingFormat}' || exit 45`

interface Options {
  signal: AbortSignal
  patience: PatienceLimits
}

/**
 * What is in a folder, or with `recursive` in all folders below it too, by path. Links are listed, not followed.
 *
 * @throws {SlotpoolError} `FILE_NOT_FOUND`; `FILE_FAILED`; `FILE_TOO_LARGE` with more than `maxEntries` entries; `CANCELLED`.
 */
export function listFiles(
  slot: FileSlot,
  path: string,
  { recursive, maxEntries, ...options }: Options & { recursive: boolean; maxEntries: number },
): Promise<FileEntry[]> {
  const args = [slotPath(path), recursive ? 'recursive' : '']
  return withProgram({ slot, script: listScript, args, path, output: true, ...options }, (program) => listing(program, maxEntries))
}

/** What a path is; its last part is not followed where it is a link. @throws {SlotpoolError} `FILE_NOT_FOUND`, `FILE_FAILED`, `CANCELLED`. */
export async function statFile(slot: FileSlot, path: string, options: Options): Promise<FileEntry> {
  const program = { slot, script: statScript, args: [slotPath(path)], path, output: true, ...options }
  const [entry] = await withProgram(program, (program) => listing(program, 1))
  if (entry) return entry
  const reason = 'its tools printed nothing for it'
  throw new SlotpoolError('FILE_FAILED', `got path ${path}: ${reason}`, { details: { path, reason } })
}

async function listing(program: SlotProgram, maxEntries: number): Promise<FileEntry[]> {
  program.stdin.end()
  const reader = new ListingReader(program.path, maxEntries)
  const output = program.stdout[Symbol.asyncIterator]()
  for (;;) {
    const { done, value } = await program.wait(output.next())
    if (done) break
    reader.push(value as Buffer)
  }
  // A tool that failed says why; what it listed by then is nothing.
  await program.wait(program.outcome())
  return reader.end()
}

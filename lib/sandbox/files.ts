import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { Readable, type Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { SlotpoolError } from '../errors.ts'
import { checkFilePath } from '../wire/file-path.ts'
import type { Jail } from './jail/jail.ts'
import { toolPath } from './tool-path.ts'

/** The largest file that is written. */
export const maxFileBytes = 1024 * 1024 * 1024

/**
 * Files are read and written by programs in the jail, as the slot's user: whatever a path means there, with its links and mounts, it can
 * reach nothing that a command of the slot could not.
 */
const readScript = `
if [ ! -e "$1" ]; then echo "no such file" >&2; exit 44; fi
if [ ! -f "$1" ]; then echo "not a regular file" >&2; exit 45; fi
exec cat -- "$1"`

/** Written beside its target and moved over it, so that nobody meets half a file; an existing file keeps its mode. */
const writeScript = `
umask 022
if [ -d "$1" ]; then echo "it is a folder" >&2; exit 45; fi
case $1 in */*) folder=\${1%/*}/ ;; *) folder=./ ;; esac
mkdir -p -- "$folder" || exit 45
new=$(mktemp -- "$folder.slotpool-XXXXXXXX") || exit 45
trap 'rm -f -- "$new"' EXIT
chmod 644 -- "$new"
if [ -f "$1" ]; then chmod --reference="$1" -- "$new"; fi
cat > "$new" || exit 45
if [ "$(stat -c %s -- "$new")" != "$2" ]; then echo "the content was cut short" >&2; exit 46; fi
mv -fT -- "$new" "$1" || exit 45`

/**
 * Streams a file out of a slot. Resolves once its first bytes are there. The stream ends only when the whole file was read; whatever cuts
 * it short, such as the end of the lease, destroys it with an error, so that a part is never taken for the file. It closes when nothing
 * more will be read in the slot.
 *
 * @throws {SlotpoolError} `FILE_NOT_FOUND`; `FILE_FAILED` with the reason when it is no regular file or may not be read; `CANCELLED`.
 */
export async function readFile(jail: Jail, path: string, signal: AbortSignal): Promise<Readable> {
  checkFilePath(path)
  if (signal.aborted) throw givenUp(path)
  const child = enter(jail, ['bash', '--norc', '-c', readScript, 'slotpool', path], signal)
  child.stdin.end()
  const complaint = text(child.stderr)
  complaint.catch(() => {})
  const content = contentOf(child, path)
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  let begun = false
  // The first chunk, or the end, tells whether there is a file at all. Nobody waits for a program that a command of the slot has stopped.
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => {
      begun = true
      resolve()
    })
    child.once('close', () => resolve())
    child.once('error', reject)
    signal.addEventListener('abort', () => reject(givenUp(path)), { once: true })
  })
  if (!begun) refuse(await ended, path, await complaint, signal)
  return content
}

/** What a child writes, ending as a whole only when the child says so by exit code 0. */
function contentOf(child: ChildProcessWithoutNullStreams, path: string): Readable {
  const { stdout } = child
  const content = new Readable({
    read: () => void stdout.resume(),
    destroy: (error, done) => {
      stdout.destroy()
      done(error)
    },
  })
  const cutShort = (): void => {
    if (content.destroyed) return
    content.destroy(new SlotpoolError('FILE_FAILED', `reading ${path} was cut short`, { details: { path, reason: 'cut short' } }))
  }
  // Before somebody reads it, an error is kept by the stream.
  content.on('error', () => {})
  stdout.on('data', (chunk: Buffer) => {
    if (!content.push(chunk)) stdout.pause()
  })
  stdout.once('error', cutShort)
  // A reader that is slow keeps what was written from being read to its end; the failure is known before that.
  child.once('exit', (code) => {
    if (code !== 0) cutShort()
  })
  child.once('close', (code) => {
    if (code === 0 && stdout.readableEnded) content.push(null)
    else cutShort()
  })
  return content
}

/**
 * Writes a file in a slot, making its folder where that is missing. `bytes` is the length that was announced; less or more is refused and
 * leaves the old file as it was.
 *
 * @throws {SlotpoolError} `FILE_TOO_LARGE` beyond {@link maxFileBytes}; `FILE_FAILED` with the reason.
 */
export async function writeFile(jail: Jail, path: string, content: Readable, bytes: number, signal: AbortSignal): Promise<void> {
  checkFilePath(path)
  if (bytes > maxFileBytes) {
    throw new SlotpoolError('FILE_TOO_LARGE', `got a file of ${bytes} bytes, expected at most ${maxFileBytes}`, {
      details: { path, bytes },
    })
  }
  const child = enter(jail, ['bash', '--norc', '-c', writeScript, 'slotpool', path, String(bytes)], signal)
  child.stdout.resume()
  const ended = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve))
  feed(content, child.stdin)
  const [complaint, code] = await Promise.all([text(child.stderr), ended])
  refuse(code, path, complaint, signal)
}

/** Not by `pipeline`: when the writer gives up early, that would destroy the request, and with it the connection for the answer. */
function feed(content: Readable, stdin: Writable): void {
  content.pipe(stdin)
  stdin.once('error', () => {
    content.unpipe(stdin)
    content.resume()
  })
  content.once('close', () => {
    if (!content.readableEnded) stdin.destroy()
  })
}

/** `--norc`: with a socket for its stdin, bash would take itself for a remote shell and read the user's start files. */
function enter(jail: Jail, program: string[], signal: AbortSignal) {
  const { file, args } = jail.enter({ PATH: toolPath, LANG: 'C.UTF-8' }, program)
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { PATH: toolPath }, detached: true })
  // With nobody to read or write any more the program ends by itself. Killing our way into the jail would orphan it there.
  const giveUp = (): void => {
    child.stdin.destroy()
    child.stdout.destroy()
  }
  signal.addEventListener('abort', giveUp, { once: true })
  child.once('close', () => signal.removeEventListener('abort', giveUp))
  return child
}

function refuse(code: number | null, path: string, complaint: string, signal: AbortSignal): void {
  if (code === 0) return
  if (signal.aborted) throw givenUp(path)
  const reason = complaint.trim() || `it ended with ${code}`
  if (code === 44) throw new SlotpoolError('FILE_NOT_FOUND', `got path ${path}: ${reason}`, { details: { path } })
  throw new SlotpoolError('FILE_FAILED', `got path ${path}: ${reason}`, { details: { path, reason } })
}

function givenUp(path: string): SlotpoolError {
  return new SlotpoolError('CANCELLED', `the request for ${path} was given up`)
}

import { isAbsolute, posix } from 'node:path'
import { z } from 'zod'
import { SlotpoolError } from './errors.ts'

/** A folder or file of the host that every slot of a pool sees: an option of `SlotPool.open`, one entry of `TERMINAL_MOUNTS`. */
export interface Mount {
  /** An absolute path on the machine that the containers run on. */
  host: string
  /** The absolute path in the slot. Not `/`, and nothing in `/proc`, `/sys` or `/dev`. */
  target: string
  /** What it is, for whoever works in the slot. Default: none. */
  description?: string | undefined
  /** Default: true. */
  readOnly?: boolean | undefined
}

/** A mount with its defaults filled in and its paths in their shortest form. */
export interface PoolMount {
  host: string
  target: string
  readOnly: boolean
  description: string | null
}

export const mountForm = 'HOST:TARGET[:ro|rw][:DESCRIPTION]'

/** What a list of mounts is, whatever is in it; {@link checkMounts} does the rest. */
export const mountList = z.array(
  z.strictObject({ host: z.string(), target: z.string(), description: z.string().optional(), readOnly: z.boolean().optional() }),
  { error: 'expected an array of { host, target, description, readOnly }' },
)

/** What belongs to the slot itself, and is made for it. */
const ownOfSlot = ['/proc', '/sys', '/dev']

/**
 * Reads {@link mountForm}, as it stands on a command line.
 *
 * @throws {SlotpoolError} `MOUNT_INVALID`.
 */
export function parseMount(text: string): Mount {
  const [host = '', target, ...rest] = text.split(':')
  if (target === undefined) throw mountInvalid({ host: text, target: '' }, `got mount ${JSON.stringify(text)}, expected ${mountForm}`)
  const mode = rest[0] === 'ro' || rest[0] === 'rw' ? rest.shift() : undefined
  // Nobody describes a folder so: it is a slip, or an option of another program's.
  if (mode === undefined && rest[0] !== undefined && /^([rwxo]{2}|z)(,\w+)*$/i.test(rest[0].trim()))
    throw mountInvalid({ host, target }, `got ${JSON.stringify(rest[0])} where ro, rw or a description is, expected ${mountForm}`)
  const description = rest.join(':').trim()
  return {
    host,
    target,
    ...(mode === undefined ? {} : { readOnly: mode === 'ro' }),
    ...(description === '' ? {} : { description }),
  }
}

/** Reads several, between newlines or semicolons. @throws {SlotpoolError} as {@link parseMount}. */
export function parseMounts(text: string): Mount[] {
  const entries = text.split(/[\n;]/).map((one) => one.trim())
  // A separator at the end is no mount; nothing at all is a slip.
  return entries.filter((one, _, all) => one !== '' || all.every((other) => other === '')).map(parseMount)
}

/**
 * The mounts in order of their targets, so that a folder comes before what is mounted in it. What the host has at those paths is for the
 * backend to see.
 *
 * @throws {SlotpoolError} `MOUNT_INVALID`.
 */
export function checkMounts(mounts: readonly Mount[]): PoolMount[] {
  const seen = new Map<string, PoolMount>()
  for (const given of mounts) {
    const mount = checked(given)
    const other = seen.get(mount.target)
    if (other) throw mountInvalid(mount, `target ${mount.target} is that of ${other.host}, too; expected a target of its own`)
    seen.set(mount.target, mount)
  }
  return [...seen.values()].sort((a, b) => (a.target < b.target ? -1 : 1))
}

function checked(mount: Mount): PoolMount {
  for (const [name, path] of [
    ['host', mount.host],
    ['target', mount.target],
  ] as const) {
    if (!isAbsolute(path)) throw mountInvalid(mount, `${name}: got ${JSON.stringify(path)}, expected an absolute path`)
    if (path.includes('\0') || !path.isWellFormed()) throw mountInvalid(mount, `${name}: got a path with a NUL byte or ill-formed Unicode`)
  }
  const target = shortest(mount.target)
  if (target === '/' || ownOfSlot.some((folder) => isWithin(target, folder))) {
    throw mountInvalid(mount, `target: got ${mount.target}, expected a path other than / and not in ${ownOfSlot.join(', ')}`)
  }
  return { host: shortest(mount.host), target, readOnly: mount.readOnly ?? true, description: mount.description ?? null }
}

/** Without `.`, `..`, doubled and trailing slashes. */
function shortest(path: string): string {
  const normal = posix.normalize(path)
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal
}

/** Whether a path is `folder` or lies in it; both absolute and in their shortest form. */
export function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder === '/' ? '/' : `${folder}/`)
}

/** A mount in the form in which it is given on a command line, for messages. */
export function mountText({ host, target, readOnly }: PoolMount): string {
  return `${host}:${target}:${readOnly ? 'ro' : 'rw'}`
}

/** Names the mount and what is wrong with it. */
export function mountInvalid({ host, target }: { host: string; target: string }, reason: string): SlotpoolError {
  return new SlotpoolError('MOUNT_INVALID', `mount ${host}:${target}: ${reason}`, { details: { host, target, reason } })
}

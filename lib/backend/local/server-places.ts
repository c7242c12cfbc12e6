import { createHash } from 'node:crypto'
import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { SlotpoolError } from '../../errors.ts'

/** The longest path of a Unix socket: 108 bytes with the final NUL (unix(7)). */
const maxSocketPathBytes = 107

/** Where the slots of servers that run as root are. */
export const sharedStateDir = '/var/lib/slotpool'

/** Where one local sandbox server keeps things. */
export interface ServerPlaces {
  /** Record and log; its owner's alone. */
  folder: string
  /** Slots and pipes. */
  stateDir: string
  socketPath: string
  /** The uid of its slot 0, when it runs as root: no two servers of a machine share one. */
  uidBase: number
}

/** The places of server number `index` of the pool whose folder is `poolFolder`. */
export function serverPlaces(poolFolder: string, index: number): ServerPlaces {
  const folder = join(poolFolder, String(index))
  const hash = createHash('sha256').update(poolFolder).digest()
  const name = hash.toString('hex').slice(0, 16)
  return {
    folder,
    // Slots that are kept apart by uid alone are entered by path, and nobody but root gets through root's home folder.
    stateDir: process.geteuid?.() === 0 ? join(sharedStateDir, name, String(index)) : join(folder, 'state'),
    socketPath: socketPath(folder, `${name}-${index}`),
    uidBase: 1_000_000 + (hash.readUInt16BE(0) % 10_000) * 100_000 + (index % 100) * 1000,
  }
}

/** Where this user's sockets are whose path would be too long. */
export function shortSocketFolder(): string {
  return join('/tmp', `slotpool-${process.geteuid?.() ?? 0}`)
}

function socketPath(folder: string, name: string): string {
  const path = join(folder, 'server.sock')
  if (Buffer.byteLength(path) <= maxSocketPathBytes) return path
  const uid = process.geteuid?.() ?? 0
  const short = shortSocketFolder()
  mkdirSync(short, { recursive: true, mode: 0o700 })
  const { uid: owner, mode } = statSync(short)
  if (owner !== uid || (mode & 0o077) !== 0) {
    throw new SlotpoolError(
      'SERVER_START_FAILED',
      `${short} belongs to somebody else or is open to others; set XDG_STATE_HOME to a shorter path`,
    )
  }
  return join(short, `${name}.sock`)
}

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, lstatSync, openSync, readlinkSync, realpathSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { SlotpoolError } from '../../errors.ts'
import type { NetworkLevel } from '../../wire/lease.ts'
import type { AttachedNetwork, SlotNetworkKind } from '../network/network.ts'
import { makeSlotFolders, wipeSlotFolders } from '../slot-folders.ts'
import { toolPath } from '../tool-path.ts'
import { innerUsersProgram, type SlotEntry } from './entry-program.ts'
import type { Jail, JailKind, SlotFolders, SlotIdentity, SlotMount } from './jail.ts'
import { NamespaceJail } from './namespace-jail.ts'
import { slotUser, writeAccountFiles } from './passwd.ts'
import { seccompFilter } from './seccomp-filter.ts'

/** Where a slot's folders are inside its jail. */
const view = { workspace: '/workspace', home: '/home/agent', tmp: '/tmp' } as const

/** What of the container's own filesystem a slot sees, read-only: programs, libraries and their settings; no data of anybody. */
const systemFolders = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32', '/etc', '/opt', '/nix']

/** What a jail runs of its own: it says that the jail is complete, then keeps it alive. */
const announce = 'printf ready >&4; exec 3>&- 4>&-; exec sleep infinity'

/**
 * Jails by bubblewrap: PID, mount, IPC and UTS namespaces (and a network namespace for `none`) around read-only system folders, a private
 * /proc, /dev and /tmp, and no capabilities. The server makes them as root, each slot with a uid of its own, or as an ordinary user
 * through a user namespace, all slots with the uid of that user.
 */
export class BubblewrapJails implements JailKind {
  readonly level = 'jail'
  readonly root = 'read-only'
  readonly user = slotUser
  readonly network: NetworkLevel
  readonly #net: SlotNetworkKind
  readonly #uidBase: number
  readonly #mounts: readonly SlotMount[]
  readonly #asRoot = process.geteuid?.() === 0

  constructor(options: { network: SlotNetworkKind; uidBase: number; mounts: readonly SlotMount[] }) {
    this.network = options.network.level
    this.#net = options.network
    this.#mounts = options.mounts
    this.#uidBase = options.uidBase
  }

  #identity(slot: number): SlotIdentity {
    if (this.#asRoot) return { uid: this.#uidBase + slot, gid: this.#uidBase + slot }
    return { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 }
  }

  async make(slot: number, root: string): Promise<Jail> {
    const identity = this.#identity(slot)
    const folders = await makeSlotFolders(root, identity)
    const accounts = await writeAccountFiles(folders.root, identity, view.home)
    const resolver = join(root, 'resolv.conf')
    await writeFile(resolver, await readFile('/etc/resolv.conf', 'utf8').catch(() => ''), { mode: 0o644 })
    // The arguments go by descriptor: a process list shows those of the command line, inside the jail too.
    const child = spawn('bwrap', ['--args', '0', '--', 'bash', '--norc', '-c', announce], {
      stdio: ['pipe', 'ignore', 'pipe', 'pipe', 'pipe'],
      env: { PATH: toolPath },
    })
    const input = child.stdin as Writable
    // When bubblewrap cannot even be started, that is said by the child's own error.
    input.on('error', () => {})
    input.end(
      this.#arguments(folders, [...accounts, [resolver, '/etc/resolv.conf']])
        .map((argument) => `${argument}\0`)
        .join(''),
    )
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
    const complaint = text(child.stderr as Readable)
    let network: AttachedNetwork | undefined
    let usersFd: number | null = null
    let jail: BubblewrapJail
    try {
      await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject))
      const init = await readInitPid(child.stdio[3] as Readable)
      if ((await text(child.stdio[4] as Readable)) !== 'ready') throw new Error('it ended while it set the jail up')
      if (!this.#asRoot) usersFd = await openInnerUsers(init, identity)
      network = await this.#net.attach({ slot, pid: init, ...(this.#asRoot ? {} : { userNamespaceOf: init }) })
      // The same file that the jail has, so that it shows there.
      if (network.resolvConf !== null) await writeFile(resolver, network.resolvConf)
      const { ownNamespace } = this.#net
      jail = new BubblewrapJail({ keeper: init, ended, folders, identity, network, level: this.network, ownNamespace, usersFd })
    } catch (error) {
      if (child.pid !== undefined) {
        child.kill('SIGKILL')
        await ended
      }
      await network?.detach()
      if (usersFd !== null) closeSync(usersFd)
      if (error instanceof SlotpoolError) throw error
      const said = child.pid === undefined ? '' : (await complaint).trim()
      throw new SlotpoolError('JAIL_FAILED', `bubblewrap could not make the jail of slot ${slot}: ${said || (error as Error).message}`, {
        cause: error,
      })
    }
    return jail.open()
  }

  wipe(root: string): Promise<void> {
    return wipeSlotFolders(root)
  }

  close(): Promise<void> {
    return this.#net.close()
  }

  #arguments(folders: SlotFolders, files: readonly [string, string][]): string[] {
    const args = ['--die-with-parent', '--new-session', '--unshare-pid', '--unshare-ipc', '--unshare-uts', '--hostname', 'slot']
    if (this.#net.ownNamespace) args.push('--unshare-net')
    // Root inside the user namespace, so that /dev/pts can be mounted; commands run as an ordinary user again (`enter`).
    if (!this.#asRoot) args.push('--unshare-user', '--uid', '0', '--gid', '0')
    for (const folder of systemFolders) args.push(...systemBind(folder))
    for (const [file, target] of files) {
      // A link, as /etc/resolv.conf often is, stays one: its place in the jail is where it leads.
      const place = existsSync(target) ? realpathSync(target) : target
      if (existsSync(target) || place.startsWith('/run/')) args.push('--ro-bind', file, place)
    }
    args.push('--proc', '/proc', '--dev', '/dev')
    // What steers the kernel may belong to the user in part.
    args.push('--ro-bind', '/proc/sys', '/proc/sys')
    // Keys are those of the user, whom slots share.
    if (existsSync('/proc/keys')) args.push('--dev-bind', '/dev/null', '/proc/keys')
    // Shared memory is for every user of the slot; bubblewrap's own belongs to root.
    args.push('--perms', '1777', '--tmpfs', '/dev/shm')
    for (const folder of ['/run', '/var', '/home']) args.push('--perms', '0755', '--dir', folder)
    args.push('--symlink', '../tmp', '/var/tmp')
    args.push('--bind', folders.tmp, view.tmp, '--bind', folders.home, view.home, '--bind', folders.workspace, view.workspace)
    for (const { source, target, readOnly } of this.#mounts) args.push(readOnly ? '--ro-bind' : '--bind', source, target)
    args.push('--remount-ro', '/', '--chdir', view.workspace, '--info-fd', '3')
    return args
  }
}

/** A system folder as it is on the outside: a folder read-only, a link (`/bin` on a merged /usr) as the same link. */
function systemBind(folder: string): string[] {
  const found = lstatSync(folder, { throwIfNoEntry: false })
  if (found?.isSymbolicLink()) return ['--symlink', readlinkSync(folder), folder]
  return found?.isDirectory() ? ['--ro-bind', folder, folder] : []
}

/** bubblewrap writes `{ "child-pid": N, … }` once it has made the namespaces. */
async function readInitPid(info: Readable): Promise<number> {
  const said = await text(info)
  if (said === '') throw new Error('it ended before it said the id of its first process')
  const pid: unknown = (JSON.parse(said) as { 'child-pid'?: unknown })['child-pid']
  if (typeof pid !== 'number') throw new Error(`it named no first process: ${said}`)
  return pid
}

/** A user namespace for commands, below that of the jail: as root in the latter a command could make namespaces of its own. */
async function openInnerUsers(init: number, identity: SlotIdentity): Promise<number> {
  const child = spawn('perl', ['-e', innerUsersProgram(), '--', String(init), String(identity.uid), String(identity.gid)], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH: toolPath },
  })
  child.stdin.on('error', () => {})
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()).once('error', () => resolve()))
  const complaint = text(child.stderr)
  try {
    const [said] = (await Promise.race([once(child.stdout, 'data'), ended.then(() => [])])) as [Buffer?]
    if (said === undefined) throw new Error(`no user namespace could be made for commands: ${(await complaint).trim()}`)
    return openSync(`/proc/${Number(String(said))}/ns/user`, 'r')
  } finally {
    child.stdin.end()
    await ended
  }
}

class BubblewrapJail extends NamespaceJail {
  readonly root = 'read-only'
  readonly user = slotUser
  readonly view = view
  protected readonly standsOn: readonly string[]
  readonly #identity: SlotIdentity
  /** The open user namespace that commands are in; null where the server is root and needs none. */
  readonly #usersFd: number | null
  readonly #filter = seccompFilter()
  readonly #ownNamespace: boolean

  constructor(parts: {
    keeper: number
    ended: Promise<void>
    folders: SlotFolders
    identity: SlotIdentity
    network: AttachedNetwork
    level: NetworkLevel
    ownNamespace: boolean
    usersFd: number | null
  }) {
    super(parts)
    this.standsOn = [parts.folders.workspace]
    this.#identity = parts.identity
    this.#usersFd = parts.usersFd
    this.#ownNamespace = parts.ownNamespace
  }

  protected get way(): SlotEntry {
    return {
      keeper: this.keeper,
      ...(this.#usersFd === null
        ? { identity: this.#identity }
        : { outerUsers: `/proc/${this.keeper}/ns/user`, users: `/proc/${process.pid}/fd/${this.#usersFd}` }),
      ownNetwork: this.#ownNamespace,
      capabilities: [],
      filter: this.#filter,
    }
  }

  protected letGo(): void {
    if (this.#usersFd !== null) closeSync(this.#usersFd)
  }
}

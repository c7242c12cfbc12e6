import { spawn } from 'node:child_process'
import { closeSync, openSync, realpathSync } from 'node:fs'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import type { Readable, Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { SlotpoolError } from '../../errors.ts'
import type { NetworkLevel } from '../../wire/lease.ts'
import type { AttachedNetwork, SlotNetworkKind } from '../network/network.ts'
import { wipeSlotFolders } from '../slot-folders.ts'
import { toolPath } from '../tool-path.ts'
import { buildProgram } from './build-program.ts'
import { slotCapabilityNumbers } from './capabilities.ts'
import type { SlotEntry } from './entry-program.ts'
import type { Jail, JailKind, SlotMount } from './jail.ts'
import { NamespaceJail } from './namespace-jail.ts'
import { seccompFilter } from './seccomp-filter.ts'
import type { SystemLayer } from './slot-system.ts'
import { ownPrograms, slotPrograms, type TaskImage } from './task-image.ts'

/** Where things are in the slot, which has a root filesystem of its own. */
const view = { workspace: '/workspace', home: '/root', tmp: '/tmp' } as const

const program = buildProgram()

/** Ids from here on are in no slot: its user namespace maps those below. */
const firstOutsideUid = 65_536

/**
 * Jails for a server that is root: namespaces of every kind, and a root filesystem that is an overlay on the system around. Who works in the
 * slot is its root: it may install packages and overwrite programs, and all of that goes with the lease.
 *
 * It is root of a user namespace that owns nothing else, with reduced capabilities and no new privileges. Since everything in the slot may
 * have been replaced by its tenant, nothing of it runs before these are in force (`entry-program.ts`).
 */
export class CopyOnWriteJails implements JailKind {
  readonly level = 'jail'
  readonly root = 'copy-on-write'
  readonly user = 'root'
  readonly network: NetworkLevel
  readonly #net: SlotNetworkKind
  readonly #uidBase: number
  readonly #layers: readonly SystemLayer[]
  readonly #mounts: readonly SlotMount[]
  readonly #taskImage: TaskImage | undefined
  readonly #filter = seccompFilter()

  /** @throws {RangeError} when `uidBase` is an id that slots have, too. */
  constructor(options: {
    network: SlotNetworkKind
    uidBase: number
    layers: readonly SystemLayer[]
    mounts: readonly SlotMount[]
    /** What the layers are of, where the server is no part of it. */
    taskImage?: TaskImage
  }) {
    if (options.uidBase < firstOutsideUid) throw new RangeError(`got uid base ${options.uidBase}, expected at least ${firstOutsideUid}`)
    this.network = options.network.level
    this.#net = options.network
    this.#mounts = options.mounts
    this.#uidBase = options.uidBase
    this.#layers = options.layers
    this.#taskImage = options.taskImage
  }

  async make(slot: number, folder: string): Promise<Jail> {
    await prepareFolder(folder, this.#mounts)
    const { ownNamespace } = this.#net
    const owner = String(this.#uidBase + slot)
    const namespaces = ['--mount', '--pid', '--ipc', '--uts', ...(ownNamespace ? ['--net'] : [])]
    const command = [
      ...['perl', '-e', program, '--', folder, owner, this.#taskImage ? slotPrograms : ''],
      ...this.#layers.flatMap(({ target, lower, machine }) => [target, lower.map(escapeLower).join(':'), machine ?? '']),
    ]
    const child = spawn(
      'setpriv',
      ['--pdeathsig', 'KILL', 'unshare', ...namespaces, '--fork', '--kill-child', '--propagation', 'private', '--', ...command],
      { stdio: ['pipe', 'ignore', 'pipe', 'pipe'], env: { PATH: toolPath }, cwd: '/', detached: true },
    )
    // When it cannot even be started, that is said by the child's own error.
    child.stdin?.on('error', () => {})
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()).once('error', () => resolve()))
    const complaint = text(child.stderr as Readable).catch(String)
    let network: AttachedNetwork | undefined
    let usersFd: number | undefined
    let viewFd: number | undefined
    let jail: CopyOnWriteJail
    try {
      await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject))
      const said = createInterface(child.stdio[3] as Readable)[Symbol.asyncIterator]()
      const keeper = Number(await nextLine(said))
      usersFd = openSync(`/proc/${Number(await nextLine(said))}/ns/user`, 'r')
      viewFd = openSync(`/proc/${Number(await nextLine(said))}/ns/mnt`, 'r')
      network = await this.#net.attach({ slot, pid: keeper })
      const resolver = network.resolvConf ?? (await readFile('/etc/resolv.conf', 'utf8').catch(() => null))
      if (resolver !== null) await writeFile(join(folder, 'resolv.conf'), resolver, { mode: 0o644 })
      ;(child.stdin as Writable).end('\n')
      if ((await nextLine(said)) !== 'ready') throw new Error('it said something else than that it is ready')
      const parts = { keeper, folder, usersFd, viewFd, ended, network, level: this.network, ownNamespace, filter: this.#filter }
      jail = this.#taskImage ? new TaskImageJail(parts, this.#taskImage) : new CopyOnWriteJail(parts)
    } catch (error) {
      child.kill('SIGKILL')
      await ended
      await network?.detach()
      for (const fd of [usersFd, viewFd]) if (fd !== undefined) closeSync(fd)
      if (error instanceof SlotpoolError) throw error
      const why = (await complaint).trim() || (error as Error).message
      throw new SlotpoolError('JAIL_FAILED', `the jail of slot ${slot} could not be built: ${why}`, { cause: error })
    }
    return jail.open()
  }

  wipe(folder: string): Promise<void> {
    return wipeSlotFolders(folder)
  }

  close(): Promise<void> {
    return this.#net.close()
  }
}

async function prepareFolder(folder: string, mounts: readonly SlotMount[]): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  // Nobody but root passes: the slot gets at its files from within alone.
  await chmod(folder, 0o700)
  for (const name of ['root', 'empty']) await mkdir(join(folder, name))
  await mkdir(join(folder, 'tmp'))
  await chmod(join(folder, 'tmp'), 0o1777)
  const fields = mounts.flatMap(({ source, target, readOnly }) => [source, target, readOnly ? 'ro' : 'rw'])
  await writeFile(join(folder, 'mounts'), fields.map((field) => `${field}\0`).join(''))
}

/** A colon parts the folders of `lowerdir`, a comma the options of a mount. */
function escapeLower(path: string): string {
  return path.replace(/[\\:,]/g, (found) => `\\${found}`)
}

async function nextLine(lines: AsyncIterator<string>): Promise<string> {
  const { value, done } = await lines.next()
  if (done) throw new Error('it ended while it was built')
  return value
}

/** What a jail is made of. */
interface JailParts {
  keeper: number
  folder: string
  /** The open user namespace that commands are in, and the mount namespace that they see. */
  usersFd: number
  viewFd: number
  ended: Promise<void>
  network: AttachedNetwork
  level: NetworkLevel
  ownNamespace: boolean
  filter: string | null
}

class CopyOnWriteJail extends NamespaceJail {
  readonly root = 'copy-on-write'
  readonly user = 'root'
  readonly view = view
  protected readonly standsOn: readonly string[]
  readonly #usersFd: number
  readonly #viewFd: number
  readonly #filter: string | null
  readonly #ownNamespace: boolean

  constructor(parts: JailParts) {
    super(parts)
    const { folder, keeper } = parts
    // What it writes to, and its workspace as its first process sees it; a link on the way would lead out of that one's view.
    this.standsOn = [join(folder, 'layers'), `/proc/${keeper}/root${realpathSync(folder)}/root${view.workspace}`]
    this.#usersFd = parts.usersFd
    this.#viewFd = parts.viewFd
    this.#filter = parts.filter
    this.#ownNamespace = parts.ownNamespace
  }

  protected get way(): SlotEntry {
    return {
      keeper: this.keeper,
      view: `/proc/${process.pid}/fd/${this.#viewFd}`,
      users: `/proc/${process.pid}/fd/${this.#usersFd}`,
      ownNetwork: this.#ownNamespace,
      capabilities: slotCapabilityNumbers,
      filter: this.#filter,
    }
  }

  protected letGo(): void {
    closeSync(this.#usersFd)
    closeSync(this.#viewFd)
  }
}

/** One on an image that need not have any program: what the server runs in it is the server's. */
class TaskImageJail extends CopyOnWriteJail {
  readonly imageEnvironment: Readonly<Record<string, string>>
  readonly shell: string
  override readonly programs = ownPrograms

  constructor(parts: JailParts, image: TaskImage) {
    super(parts)
    this.imageEnvironment = image.environment
    this.shell = image.shell
  }

  protected override get way(): SlotEntry {
    return { ...super.way, lastShell: ownPrograms.bash }
  }
}

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import type { IsolationChoice, NetworkChoice } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'
import type { IsolationLevel } from '../../wire/lease.ts'
import { openNetwork } from '../network/choose-network.ts'
import type { SlotNetworkKind } from '../network/network.ts'
import { runProgram } from '../run-program.ts'
import { executionMembers } from '../terminate.ts'
import { toolPath } from '../tool-path.ts'
import { BubblewrapJails } from './bubblewrap.ts'
import { CopyOnWriteJails } from './copy-on-write.ts'
import { type Jail, type JailKind, programsOf, type SlotMount } from './jail.ts'
import { OwnUidJails } from './own-uid.ts'
import { hostLayers, imageLayers, type SystemKind, type SystemLayer } from './slot-system.ts'
import type { TaskImage } from './task-image.ts'
import { UnisolatedJails } from './unisolated.ts'

/** The isolation in force, and why it is not a stronger one. */
export interface ChosenIsolation {
  kind: JailKind
  reason: string | null
  /** Why the network is not the one that was asked for. */
  networkReason: string | null
  /** The jail in which it was tried, for slot 0: it has had no tenant. Only with `keepTrial`, and whoever takes it ends and wipes it. */
  first?: FirstJail | undefined
}

/** A jail that is there before anybody asked for a slot, and its folder. */
export interface FirstJail {
  jail: Jail
  root: string
}

export interface IsolationOptions {
  isolation: IsolationChoice
  network: NetworkChoice
  /** Private addresses that `outbound` reaches all the same: addresses or networks, with a port or without. Default: none. */
  networkAllow?: readonly string[]
  uidBase: number
  /** The folder in which slots are made, and the trial. */
  folder: string
  /** A folder for what all slots stand on; it is made anew. */
  systemFolder: string
  /** What the slots are built on. Default: `host`. */
  system?: SystemKind
  /** The image that slots are built on, where the server is no part of it. Default: it is, or there is none. */
  taskImage?: TaskImage
  /** Whose network the server has. Default: with `system: image` its container's own, else the machine's. */
  serverNetwork?: 'own' | 'machine'
  /** What of the container every slot sees besides. Default: nothing. */
  mounts?: readonly SlotMount[]
  /** Hands on the jail of the trial rather than ending it. Default: false. */
  keepTrial?: boolean
}

/**
 * The strongest isolation that works here, found by making a jail and running a command in it. Never weaker than what was asked for:
 * `none` only where the caller wrote it.
 *
 * @throws {SlotpoolError} `ISOLATION_UNAVAILABLE` with what is missing and what would mend it.
 */
export async function chooseIsolation(options: IsolationOptions): Promise<ChosenIsolation> {
  const found = await findIsolation(options)
  if (options.keepTrial || found.first === undefined) return found
  await endFirst(found)
  const { first: _, ...chosen } = found
  return chosen
}

/** Ends and wipes the jail of the trial, where there is one. */
export async function endFirst({ kind, first }: Pick<ChosenIsolation, 'kind' | 'first'>): Promise<void> {
  await first?.jail.end()
  if (first) await kind.wipe(first.root)
}

async function findIsolation(options: IsolationOptions): Promise<ChosenIsolation> {
  const { isolation, uidBase, folder, mounts = [] } = options
  const { serverNetwork = options.system === 'image' ? 'own' : 'machine' } = options
  const failures: string[] = []
  const tried = async (name: string, attempt: () => Promise<FirstJail | string>): Promise<FirstJail | null> => {
    const result = await attempt()
    if (typeof result !== 'string') return result
    failures.push(`${name}: ${result}`)
    return null
  }

  if (isolation === 'auto' || isolation === 'jail') {
    const layers = process.geteuid?.() === 0 ? findLayers(options) : null
    // One that failed by itself is heard of where it is waited for.
    layers?.catch(() => {})
    const open = await openNetwork({
      network: options.network,
      where: serverNetwork === 'own' ? 'container' : 'host',
      allow: options.networkAllow ?? [],
    })
    const kindsWith = async (network: SlotNetworkKind): Promise<(JailKind | Error)[]> => [
      ...(layers === null ? [] : [await copyOnWriteJails(options, network, layers)]),
      // It would show the server's own system.
      ...(options.taskImage ? [] : [new BubblewrapJails({ network, uidBase, mounts })]),
    ]
    const tryKind = (kind: JailKind | Error) =>
      tried('jail', async () => (kind instanceof Error ? kind.message : tryIsolation(kind, folder)))
    const [strongest] = await kindsWith(open.network)
    // A jail that works shows that its network does; only where it does not is the network tried by itself.
    const first = strongest && (await tryKind(strongest))
    if (first) return { kind: strongest as JailKind, reason: null, networkReason: open.reason, first }
    const { network, reason: networkReason } = await open.tried()
    const kinds = await kindsWith(network)
    if (network === open.network) kinds.shift()
    else failures.splice(0)
    for (const kind of kinds) {
      const first = await tryKind(kind)
      if (first) {
        const reason = failures.length > 0 ? `its root filesystem is read-only, since ${failures.join('; ')}` : null
        return { kind: kind as JailKind, reason, networkReason, first }
      }
    }
    await network.close()
  }
  const shared = isolation === 'none' ? new UnisolatedJails() : new OwnUidJails({ uidBase })
  const lacks = lacksWithout(isolation === 'none' ? 'none' : 'uid', options)
  if (isolation === 'none' && lacks === null) {
    return { kind: shared, reason: 'TERMINAL_ISOLATION=none was asked for', networkReason: networkReason('none', options.network) }
  }
  if (isolation === 'auto' || isolation === 'uid') {
    const first = await tried('uid', async () => {
      if (lacks !== null) return lacks
      return process.geteuid?.() === 0 ? tryIsolation(shared, folder) : 'only root can give each slot a uid of its own'
    })
    if (first)
      return { kind: shared, reason: failures[0] ?? 'uid was asked for', networkReason: networkReason('uid', options.network), first }
  }
  if (isolation === 'none') failures.push(`none: ${lacks}`)
  const mend = options.taskImage
    ? 'a container that runs as root and may mount and make namespaces, as it is given with isolation auto and jail; or an image that ' +
      '`slotpool image build --base IMAGE` made, without TERMINAL_TOOLS_IMAGE'
    : 'bubblewrap: install it (`apt-get install bubblewrap`, or `dnf install bubblewrap`) where user namespaces are allowed, or set ' +
      'TERMINAL_ISOLATION=none to run without isolation'
  throw new SlotpoolError(
    'ISOLATION_UNAVAILABLE',
    `got isolation ${isolation}, but nothing that isolates works here (${failures.join('; ')}); expected ${mend}`,
    { details: { isolation, failures } },
  )
}

/** Where slots can be root of a root filesystem of their own; else why not. */
async function copyOnWriteJails(
  options: IsolationOptions,
  network: SlotNetworkKind,
  layers: Promise<readonly SystemLayer[]>,
): Promise<JailKind | Error> {
  try {
    const { uidBase, mounts = [], taskImage } = options
    return new CopyOnWriteJails({ network, uidBase, mounts, layers: await layers, ...(taskImage ? { taskImage } : {}) })
  } catch (error) {
    return error as Error
  }
}

/** What copy-on-write jails stand on. */
async function findLayers({ system, systemFolder, taskImage }: IsolationOptions): Promise<readonly SystemLayer[]> {
  if (taskImage) return [{ target: '/', lower: [taskImage.root] }]
  return system === 'image' ? imageLayers : hostLayers(systemFolder)
}

/** What was asked for that needs namespaces of the slot's own. */
function lacksWithout(level: IsolationLevel, { network, mounts = [], taskImage }: IsolationOptions): string | null {
  if (taskImage) return 'its commands would see the system of the sandbox server, and not the image'
  if (level === 'uid' && network === 'none') return 'it cannot keep a slot off the network, and TERMINAL_NETWORK=none was asked for'
  if (mounts.length > 0) return `it cannot mount anything in a slot, and ${mounts.map((one) => one.target).join(', ')} was asked for`
  return null
}

/** Why a slot has the network of its container where another was asked for. */
function networkReason(level: IsolationLevel, asked: NetworkChoice): string | null {
  return asked === 'host' ? null : `isolation ${level} gives a slot no network of its own`
}

/** The jail of this kind in which a command ran, else why none did; nothing of it is left then. */
async function tryIsolation(kind: JailKind, folder: string): Promise<FirstJail | string> {
  // Its tenant may see the name, which is like that of any slot.
  const root = await mkdtemp(join(folder, '0-'))
  const made = await makeTried(kind, root).catch(messageOf)
  if (typeof made !== 'string') return { jail: made, root }
  await kind.wipe(root)
  return made
}

async function makeTried(kind: JailKind, root: string): Promise<Jail | string> {
  const jail = await kind.make(0, root)
  const failure = await failureIn(jail).catch(messageOf)
  if (failure === null) return jail
  await jail.end()
  return failure
}

/** Null when commands run in this jail and can be ended, else why not. What runs here leaves nothing: the jail may get a tenant. */
async function failureIn(jail: Jail): Promise<string | null> {
  const { exitCode, stderr } = await runProgram(jail, [programsOf(jail).bash, '-c', 'exit 42'])
  if (exitCode !== 42) return `a trial command did not run: ${stderr.trim() || `exit code ${exitCode}`}`
  if (await seesProcesses(jail)) return null
  return 'the processes of a slot cannot be told from others (in a container that takes CAP_SYS_PTRACE)'
}

function messageOf(error: unknown): string {
  return error instanceof SlotpoolError ? error.message : String(error)
}

/** What cannot be seen cannot be ended: a command whose time is up would leave its processes behind. */
async function seesProcesses(jail: Jail): Promise<boolean> {
  const { file, args } = jail.enter({ PATH: toolPath }, [programsOf(jail).bash, '--norc', '-c', 'echo here; read -r'])
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'ignore'], env: { PATH: toolPath }, detached: true })
  const ended = new Promise((resolve) => child.once('close', resolve).once('error', resolve))
  try {
    await Promise.race([once(child.stdout, 'data'), ended])
    const members = await executionMembers({
      candidates: () => jail.processes(),
      leader: child.pid ?? 0,
      environmentEntry: `PATH=${toolPath}`,
    })
    return members.some((one) => one.inside)
  } finally {
    child.stdin.end('\n')
    await ended
  }
}

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import type { IsolationChoice, NetworkChoice } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'
import type { IsolationLevel } from '../../wire/lease.ts'
import { chooseNetwork } from '../network/choose-network.ts'
import type { SlotNetworkKind } from '../network/network.ts'
import { runProgram } from '../run-program.ts'
import { executionMembers } from '../terminate.ts'
import { toolPath } from '../tool-path.ts'
import { BubblewrapJails } from './bubblewrap.ts'
import { CopyOnWriteJails } from './copy-on-write.ts'
import type { Jail, JailKind, SlotMount } from './jail.ts'
import { OwnUidJails } from './own-uid.ts'
import { hostLayers, imageLayers, type SystemKind } from './slot-system.ts'
import { UnisolatedJails } from './unisolated.ts'

/** The isolation in force, and why it is not a stronger one. */
export interface ChosenIsolation {
  kind: JailKind
  reason: string | null
  /** Why the network is not the one that was asked for. */
  networkReason: string | null
}

export interface IsolationOptions {
  isolation: IsolationChoice
  network: NetworkChoice
  /** Private addresses that `outbound` reaches all the same: addresses or networks, with a port or without. Default: none. */
  networkAllow?: readonly string[]
  uidBase: number
  /** A folder in which a trial slot may be made. */
  folder: string
  /** A folder for what all slots stand on; it is made anew. */
  systemFolder: string
  /** What the slots are built on. Default: `host`. */
  system?: SystemKind
  /** What of the container every slot sees besides. Default: nothing. */
  mounts?: readonly SlotMount[]
}

/**
 * The strongest isolation that works here, found by making a jail and running a command in it. Never weaker than what was asked for:
 * `none` only where the caller wrote it.
 *
 * @throws {SlotpoolError} `ISOLATION_UNAVAILABLE` with what is missing and what would mend it.
 */
export async function chooseIsolation(options: IsolationOptions): Promise<ChosenIsolation> {
  const { isolation, uidBase, folder, mounts = [] } = options
  const failures: string[] = []
  const tried = async (name: string, attempt: () => Promise<string | null>): Promise<boolean> => {
    const failure = await attempt()
    if (failure !== null) failures.push(`${name}: ${failure}`)
    return failure === null
  }

  if (isolation === 'auto' || isolation === 'jail') {
    const { network, reason: networkReason } = await chooseNetwork({
      network: options.network,
      where: options.system === 'image' ? 'container' : 'host',
      allow: options.networkAllow ?? [],
    })
    const kinds: (JailKind | Error)[] = process.geteuid?.() === 0 ? [await copyOnWriteJails(options, network)] : []
    kinds.push(new BubblewrapJails({ network, uidBase, mounts }))
    for (const kind of kinds) {
      if (await tried('jail', () => (kind instanceof Error ? Promise.resolve(kind.message) : tryIsolation(kind, folder)))) {
        const reason = failures.length > 0 ? `its root filesystem is read-only, since ${failures.join('; ')}` : null
        return { kind: kind as JailKind, reason, networkReason }
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
    const works = await tried('uid', async () => {
      if (lacks !== null) return lacks
      return process.geteuid?.() === 0 ? tryIsolation(shared, folder) : 'only root can give each slot a uid of its own'
    })
    if (works) return { kind: shared, reason: failures[0] ?? 'uid was asked for', networkReason: networkReason('uid', options.network) }
  }
  if (isolation === 'none') failures.push(`none: ${lacks}`)
  throw new SlotpoolError(
    'ISOLATION_UNAVAILABLE',
    `got isolation ${isolation}, but nothing that isolates works here (${failures.join('; ')}); expected bubblewrap: ` +
      'install it (`apt-get install bubblewrap`, or `dnf install bubblewrap`) where user namespaces are allowed, or set ' +
      'TERMINAL_ISOLATION=none to run without isolation',
    { details: { isolation, failures } },
  )
}

/** Where slots can be root of a root filesystem of their own; else why not. */
async function copyOnWriteJails(options: IsolationOptions, network: SlotNetworkKind): Promise<JailKind | Error> {
  try {
    const layers = options.system === 'image' ? imageLayers : await hostLayers(options.systemFolder)
    return new CopyOnWriteJails({ network, uidBase: options.uidBase, mounts: options.mounts ?? [], layers })
  } catch (error) {
    return error as Error
  }
}

/** What was asked for that needs namespaces of the slot's own. */
function lacksWithout(level: IsolationLevel, { network, mounts = [] }: IsolationOptions): string | null {
  if (level === 'uid' && network === 'none') return 'it cannot keep a slot off the network, and TERMINAL_NETWORK=none was asked for'
  if (mounts.length > 0) return `it cannot mount anything in a slot, and ${mounts.map((one) => one.target).join(', ')} was asked for`
  return null
}

/** Why a slot has the network of its container where another was asked for. */
function networkReason(level: IsolationLevel, asked: NetworkChoice): string | null {
  return asked === 'host' ? null : `isolation ${level} gives a slot no network of its own`
}

/** Null when a command ran in a jail of this kind, else why not. */
async function tryIsolation(kind: JailKind, folder: string): Promise<string | null> {
  const trial = await mkdtemp(join(folder, 'trial-'))
  try {
    const jail = await kind.make(0, trial)
    try {
      const { exitCode, stderr } = await runProgram(jail, ['bash', '-c', 'exit 42'])
      if (exitCode !== 42) return `a trial command did not run: ${stderr.trim() || `exit code ${exitCode}`}`
      return (await seesProcesses(jail))
        ? null
        : 'the processes of a slot cannot be told from others (in a container that takes CAP_SYS_PTRACE)'
    } finally {
      await jail.end()
    }
  } catch (error) {
    return error instanceof SlotpoolError ? error.message : String(error)
  } finally {
    await kind.wipe(trial)
  }
}

/** What cannot be seen cannot be ended: a command whose time is up would leave its processes behind. */
async function seesProcesses(jail: Jail): Promise<boolean> {
  const { file, args } = jail.enter({ PATH: toolPath }, ['bash', '--norc', '-c', 'echo here; read -r'])
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

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import type { IsolationChoice, NetworkChoice } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'
import type { IsolationLevel } from '../../wire/lease.ts'
import { runProgram } from '../run-program.ts'
import { executionMembers } from '../terminate.ts'
import { toolPath } from '../tool-path.ts'
import { BubblewrapJails } from './bubblewrap.ts'
import type { Jail, JailKind } from './jail.ts'
import { OwnUidJails } from './own-uid.ts'
import { UnisolatedJails } from './unisolated.ts'

/** The isolation in force, and why it is not a stronger one. */
export interface ChosenIsolation {
  kind: JailKind
  reason: string | null
  /** Why the network is not the one that was asked for. */
  networkReason: string | null
}

/**
 * The strongest isolation that works here, found by making a jail and running a command in it. Never weaker than what was asked for:
 * `none` only where the caller wrote it.
 *
 * @throws {SlotpoolError} `ISOLATION_UNAVAILABLE` with what is missing and what would mend it.
 */
export async function chooseIsolation(options: {
  isolation: IsolationChoice
  network: NetworkChoice
  uidBase: number
  /** A folder in which a trial slot may be made. */
  folder: string
}): Promise<ChosenIsolation> {
  const { isolation, network, uidBase, folder } = options
  if (isolation === 'none')
    return { kind: new UnisolatedJails(), reason: 'TERMINAL_ISOLATION=none was asked for', networkReason: networkReason('none', network) }

  const failures: string[] = []
  if (isolation === 'auto' || isolation === 'jail') {
    const jails = new BubblewrapJails({ network: network === 'none' ? 'none' : 'host', uidBase })
    const failure = await tryIsolation(jails, folder)
    if (failure === null) return { kind: jails, reason: null, networkReason: networkReason('jail', network) }
    failures.push(`jail: ${failure}`)
  }
  if (isolation === 'auto' || isolation === 'uid') {
    const failure =
      process.geteuid?.() === 0 ? await tryIsolation(new OwnUidJails({ uidBase }), folder) : 'only root can give each slot a uid of its own'
    if (failure === null && network !== 'none') {
      const kind = new OwnUidJails({ uidBase })
      return { kind, reason: failures[0] ?? 'uid was asked for', networkReason: networkReason('uid', network) }
    }
    failures.push(`uid: ${failure ?? 'it cannot keep a slot off the network, and TERMINAL_NETWORK=none was asked for'}`)
  }
  throw new SlotpoolError(
    'ISOLATION_UNAVAILABLE',
    `got isolation ${isolation}, but nothing that isolates works here (${failures.join('; ')}); expected bubblewrap: ` +
      'install it (`apt-get install bubblewrap`, or `dnf install bubblewrap`) where user namespaces are allowed, or set ' +
      'TERMINAL_ISOLATION=none to run without isolation',
    { details: { isolation, failures } },
  )
}

/** Why a slot has the network that it has, where another was asked for. */
function networkReason(level: IsolationLevel, asked: NetworkChoice): string | null {
  if (asked === 'host' || (asked === 'none' && level === 'jail')) return null
  if (level === 'jail') return 'a slot gets no way outward of its own yet: it has the network of its container'
  return `isolation ${level} gives a slot no network of its own`
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

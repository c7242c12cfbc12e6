import type { IsolationLevel, NetworkLevel, RootKind } from '../../wire/lease.ts'
import { toolPath } from '../tool-path.ts'
import type { EntryTerms } from './entry-terms.ts'
import type { ForkServer } from './fork-server.ts'

/** The folders of one slot on the server's side. Made for one lease, and wiped after it. */
export interface SlotFolders {
  /** Holds the others; only the server may enter it where the isolation allows that. */
  root: string
  workspace: string
  home: string
  tmp: string
}

/** Who a slot's processes are. */
export interface SlotIdentity {
  uid: number
  gid: number
}

/** A folder or file of the container's that every slot sees at `target`. */
export interface SlotMount {
  source: string
  target: string
  readOnly: boolean
}

/** Programs of a slot that the server runs there: its bash, and where that looks for others. */
export interface SlotPrograms {
  bash: string
  path: string
}

/** What the server runs in a slot. */
export function programsOf({ programs }: Pick<Jail, 'programs'>): SlotPrograms {
  return programs ?? { bash: 'bash', path: toolPath }
}

/** The namespaces, root filesystem, limits and identity that a slot's processes see. Lives as long as its lease. */
export interface Jail {
  readonly level: IsolationLevel
  readonly network: NetworkLevel
  readonly root: RootKind
  /** The name of its user. */
  readonly user: string
  /** What its image sets for all that runs in it. Missing where the slot's image is that of the server, whose environment is its own. */
  readonly imageEnvironment?: Readonly<Record<string, string>>
  /** The bash that runs commands. Default: that of the system. */
  readonly shell?: string
  /** What the server runs in the slot for its own ends. Default: what the system has. */
  readonly programs?: SlotPrograms
  /** Absolute paths as the slot's own processes see them; `runtime` is for sockets and the like, where there is such a folder. */
  readonly view: { workspace: string; home: string; tmp: string; runtime?: string }

  /**
   * The program and arguments that run `program` in the jail as the slot's user, in its workspace, with exactly `env`, under `terms`. They
   * are to be spawned in a session of their own with an empty environment.
   */
  enter(env: Record<string, string>, program: readonly string[], terms?: EntryTerms): { file: string; args: string[] }

  /** Brings commands into the jail without starting a program for each. Missing where the jail has no namespaces to enter. */
  readonly forkServer?: ForkServer

  /** The process that adopts what is orphaned in the jail, as the server sees it. Missing where that is one of the container's. */
  readonly adopter?: number

  /** The process ids, as the server sees them, of all that runs in the jail and could belong to its tenant. */
  processes(): Promise<number[]>

  /**
   * Sends a signal to every process that the slot's user has in the jail, all at once: no fork gets past it. Resolves with whether it was
   * sent; not to be relied on, since a tenant may hinder it. Missing where a slot's processes share their user with others.
   */
  signalAll?(signal: NodeJS.Signals): Promise<boolean>

  /**
   * Why nobody could work in it, or null: a look that costs next to nothing, at what it stands on. A jail that has ended says so by `ended`.
   * Missing where there is nothing to look at.
   */
  fault?(): string | null

  /** Resolves when the jail has ended by itself, which it never should before `end` is called. */
  readonly ended: Promise<void>

  /** Ends every process of the jail. Resolves when none is left. */
  end(): Promise<void>
}

/** One way of making jails, chosen by probing. */
export interface JailKind {
  readonly level: IsolationLevel
  readonly network: NetworkLevel
  readonly root: RootKind
  readonly user: string
  /** Makes the jail of slot number `slot`, its folders in the new folder `root`. @throws {SlotpoolError} `JAIL_FAILED`. */
  make(slot: number, root: string): Promise<Jail>
  /** Deletes all that `make` made in `root` and that the slot's commands left there. The jail has ended. */
  wipe(root: string): Promise<void>
  /** Takes away what its jails share. None is left by then. */
  close?(): Promise<void>
}

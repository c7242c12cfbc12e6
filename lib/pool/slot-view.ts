import type { IsolationLevel, Lease, NetworkLevel, RootKind } from '../wire/lease.ts'
import type { LimitsInForce } from '../wire/limits.ts'
import type { MountView } from '../wire/mount.ts'

/** A slot as who works in it finds it. All of it is what is in force, not what was asked for; paths are as its processes see them. */
export interface SlotView {
  /** Where commands start, and where its files are meant to be. */
  workspace: string
  home: string
  tmp: string
  /** The program that runs commands: a bash, the image's own where it has one. */
  shell: string
  /** The folders on `PATH`, in order. */
  binFolders: readonly string[]
  /** Who commands run as. */
  user: string
  isolation: IsolationLevel
  /** Its root filesystem: one of its own that is gone with the lease, the system's to read only, or the system's own. */
  root: RootKind
  network: NetworkLevel
  /** Each limit with what sees to it; null where none holds. */
  limits: LimitsInForce
  mounts: readonly MountView[]
}

/** What a lease tells of its slot. */
export function slotView(lease: Lease): SlotView {
  const { workspace, home, tmp, shell, binFolders, user, isolation, root, network, limits, mounts } = lease
  return Object.freeze({ workspace, home, tmp, shell, binFolders, user, isolation, root, network, limits, mounts })
}

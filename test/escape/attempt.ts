import type { Slot } from '../../lib/pool/slot.ts'
import type { SlotFiles } from '../../lib/pool/slot-files.ts'
import type { SlotPool } from '../../lib/pool/slot-pool.ts'
import type { Beside } from './beside.ts'

/** What an attempt is tried against: a pool as users have it. */
export type SubjectName = 'local' | 'ordinary-user' | 'docker' | 'nomad'

/** What a tenant is given. */
export type TriedSlot = Pick<Slot, 'exec' | 'release' | 'workspace' | 'taskId' | 'slot' | 'isolation' | 'network'> & { files: SlotFiles }

/** Two tenants of one container, and what runs beside them. */
export interface Scene {
  readonly attacker: TriedSlot
  /** A tenant that did nothing wrong. Whatever the attacker does, it goes on working; that is checked after every attempt. */
  readonly neighbour: TriedSlot
  readonly beside: Beside
  readonly pool: Pick<SlotPool, 'lease' | 'status'>
  /** A word that nothing else has. Whatever an attempt starts or makes bears it, so that what is left of it is found. */
  readonly mark: string
  /**
   * Runs a script in the attacker's slot. It says what it reached with `got WORDS`, and that it was kept from it with `held WORDS`;
   * `attempt COMMAND…` says either, by the exit code. One that says neither has not tried anything, which is a failure of the attempt.
   * Resolves with all that it got, or null.
   */
  attack(script: string, options?: { timeoutMs?: number; env?: Record<string, string> }): Promise<string | null>
  /** Runs a script in the neighbour's slot, which must succeed; resolves with what it wrote. */
  prepare(script: string): Promise<string>
  /** Called when the attempt is over, last first. */
  after(work: () => Promise<unknown>): void
}

/** One way of getting out. None may succeed. */
export interface Attempt {
  name: string
  /** Where it says nothing, and why. */
  except?: Partial<Record<SubjectName, string>>
  /** The same, where it depends on what is in force in the slot. */
  unless?: (slot: TriedSlot, subject: SubjectName) => string | false
  /** What its success would destroy. It is run in namespaces made for it alone, where that costs nothing. */
  ruins?: string
  /** It asks for the network namespace of the container to be the test's own: it puts addresses there. */
  ownNetwork?: true
  /** Resolves with the evidence of its success in words, or null. Harmless where it succeeds. */
  escape(scene: Scene): Promise<string | null>
  /**
   * Succeeds where `escape` may not, or the attempt proves nothing. Default: `escape` itself, against isolation `none` with root's rights, in
   * namespaces of the test's own. Something else needs a reason, given in the attempt's own words.
   */
  control?: (scene: Scene) => Promise<string | null>
  /** Why its control succeeds for the machine's own root only. For an ordinary user there is none then; the same file has one where root runs it. */
  controlNeedsRoot?: string
}

/** What the attempt is about does not exist on this machine, not even for its root: there is nothing to try. */
export class Absent extends Error {}

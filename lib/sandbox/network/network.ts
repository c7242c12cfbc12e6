import type { NetworkLevel } from '../../wire/lease.ts'

/** What a slot's network is made around. */
export interface NetworkPlace {
  /** The slot's number, for messages. */
  slot: number
  /** A process in the slot's new network namespace, which stays alive until `attach` has resolved. */
  pid: number
  /**
   * A process in the user namespace that owns the network namespace, with this server's user as its root. Given by servers of ordinary
   * users; for root the namespace is the machine's own.
   */
  userNamespaceOf?: number
}

/** The network of one slot. Lives as long as its jail. */
export interface AttachedNetwork {
  /** What the slot's /etc/resolv.conf has to say, or null where the one that is there holds for the slot too. */
  readonly resolvConf: string | null
  /** Resolves when what the network runs on has ended before `detach` was called: the slot has no way outward any more. */
  readonly ended: Promise<void>
  /** Takes away what `attach` made outside of the slot's namespace. It may have ended before. */
  detach(): Promise<void>
}

/** One way of giving slots a network, chosen by probing. */
export interface SlotNetworkKind {
  readonly level: NetworkLevel
  /** Whether a slot needs a network namespace of its own; false where it has the network that the server has. */
  readonly ownNamespace: boolean
  /**
   * Brings up the network of a slot whose namespace has just been made: its loopback, and its way outward where there is one. Any user of
   * the slot may listen on any port afterwards.
   *
   * @throws {SlotpoolError} `JAIL_FAILED`. Nothing of it is left then.
   */
  attach(place: NetworkPlace): Promise<AttachedNetwork>
  /** Detaches what is still attached, and takes away what all slots share. */
  close(): Promise<void>
}

/** The network in force, and why it is not what was asked for. */
export interface ChosenNetwork {
  level: NetworkLevel
  reason: string | null
  network: SlotNetworkKind
}

import type { AttachedNetwork, SlotNetworkKind } from './network.ts'

/** The network that the server itself has: the container's, or the host's for a local server. */
export class SharedNetwork implements SlotNetworkKind {
  readonly level = 'host'
  readonly ownNamespace = false

  async attach(): Promise<AttachedNetwork> {
    return { resolvConf: null, ended: new Promise(() => {}), detach: async () => {} }
  }

  async close(): Promise<void> {}
}

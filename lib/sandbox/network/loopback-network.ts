import { SlotpoolError } from '../../errors.ts'
import { setUpNamespace } from './namespace-setup.ts'
import type { AttachedNetwork, NetworkPlace, SlotNetworkKind } from './network.ts'

/** A slot that has nothing but its own loopback. */
export class LoopbackNetwork implements SlotNetworkKind {
  readonly level = 'none'
  readonly ownNamespace = true

  async attach(place: NetworkPlace): Promise<AttachedNetwork> {
    try {
      await setUpNamespace(place, {})
    } catch (cause) {
      throw new SlotpoolError('JAIL_FAILED', `the loopback of slot ${place.slot} could not be brought up: ${(cause as Error).message}`, {
        cause,
      })
    }
    // Without a name server a look-up fails at once, instead of waiting for one that cannot be reached.
    return { resolvConf: '# This slot has no network but its own loopback.\n', ended: new Promise(() => {}), detach: async () => {} }
  }

  async close(): Promise<void> {}
}

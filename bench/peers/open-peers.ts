import type { Bench } from '../bench.ts'
import { allPeers } from './all-peers.ts'
import { MissingPeer, type Peer, type PeerKind } from './peer.ts'

/** A peer that takes part. */
export interface OpenPeer extends Peer {
  name: string
}

/** Opens all peers that are there. Those that are not are reported as missing, each with its reason. */
export async function openPeers(bench: Bench, sandboxes: number, kinds: readonly PeerKind[] = allPeers): Promise<OpenPeer[]> {
  const open: OpenPeer[] = []
  for (const kind of kinds) {
    bench.signal.throwIfAborted()
    bench.progress(`opening ${kind.name}`)
    try {
      const peer = await kind.open(bench, bench.scope, sandboxes)
      bench.report.systems.set(kind.name, { version: peer.version, isolation: kind.isolation })
      open.push({ ...peer, name: kind.name })
    } catch (error) {
      bench.signal.throwIfAborted()
      const { message } = error as Error
      bench.report.skip(kind.name, error instanceof MissingPeer ? `missing: ${message}` : `failed: ${message}`)
    }
  }
  return open
}

import type { PeerKind } from './peer.ts'
import { startSpawnDriver } from './spawn-driver.ts'

/** The floor: what a command costs that nobody protects from anything, from a Node process that does nothing else. */
export const floor: PeerKind = {
  name: 'spawn (floor)',
  isolation: 'none',
  streams: true,
  open: (_, scope) => startSpawnDriver(scope, `Node ${process.version}`, [['/bin/bash', '-c']]),
}

import { bubblewrap } from './bubblewrap.ts'
import { dockerExec } from './docker-exec.ts'
import { dockerRun } from './docker-run.ts'
import { dockerodeExec } from './dockerode-exec.ts'
import type { PeerKind } from './peer.ts'
import { sandboxRuntime } from './sandbox-runtime.ts'
import { floor } from './spawn.ts'
import { sweRexExecute, sweRexRemote, sweRexSession } from './swe-rex.ts'

/** Everything that commands are measured beside, the floor first. */
export const allPeers: readonly PeerKind[] = [
  floor,
  bubblewrap,
  sandboxRuntime,
  sweRexExecute,
  sweRexSession,
  sweRexRemote,
  dockerExec,
  dockerodeExec,
  dockerRun,
]

import { dockerProgram } from './docker-program.ts'
import { connectDocker, startSandboxes } from './docker-sandboxes.ts'
import type { PeerKind } from './peer.ts'
import { startSpawnDriver } from './spawn-driver.ts'

/** Docker's own command line, in containers that run already. */
export const dockerExec: PeerKind = {
  name: 'docker exec',
  isolation: 'container',
  streams: true,
  async open(bench, scope, sandboxes) {
    await dockerProgram()
    const peer = await connectDocker(bench, scope)
    const ids = await startSandboxes(peer, bench, sandboxes)
    const commandLines = ids.map((id) => ['docker', 'exec', id, '/bin/bash', '-c'])
    return startSpawnDriver(scope, peer.version, commandLines)
  },
}

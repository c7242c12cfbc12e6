import { dockerProgram } from './docker-program.ts'
import { benchLabel, connectDocker } from './docker-sandboxes.ts'
import type { PeerKind } from './peer.ts'
import { startSpawnDriver } from './spawn-driver.ts'

/** A container of its own for each command. */
export const dockerRun: PeerKind = {
  name: 'docker run --rm',
  isolation: 'container per command',
  streams: true,
  async open(bench, scope) {
    await dockerProgram()
    const { version, image } = await connectDocker(bench, scope)
    const label = `${benchLabel}=${bench.id}`
    return startSpawnDriver(scope, version, [['docker', 'run', '--rm', '--label', label, '--entrypoint', '/bin/bash', image, '-c']])
  },
}

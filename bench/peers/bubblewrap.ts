import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { outputOf } from '../run-process.ts'
import { MissingPeer, type PeerKind } from './peer.ts'
import { startSpawnDriver } from './spawn-driver.ts'

/** A bubblewrap of its own for each command, over the system read-only. */
export const bubblewrap: PeerKind = {
  name: 'bwrap per command',
  isolation: 'namespaces, read-only system',
  streams: true,
  async open(bench, scope) {
    const version = await outputOf('bwrap', ['--version']).catch((error: Error) => {
      throw new MissingPeer(`${error.message}; apt-get install bubblewrap`)
    })
    const workspace = await mkdtemp(join(bench.folder, 'bwrap-'))
    const args = [
      ...['--unshare-all', '--die-with-parent', '--new-session', '--ro-bind', '/', '/', '--dev', '/dev', '--proc', '/proc'],
      ...['--tmpfs', '/tmp', '--bind', workspace, workspace, '--chdir', workspace, '--', '/bin/bash', '-c'],
    ]
    // Where namespaces are not allowed it is there, and yet of no use.
    await outputOf('bwrap', [...args, 'true']).catch((error: Error) => {
      throw new MissingPeer(error.message)
    })
    return startSpawnDriver(scope, version, [['bwrap', ...args]])
  },
}

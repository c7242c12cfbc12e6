import { outputOf } from '../run-process.ts'
import { MissingPeer } from './peer.ts'

/** @throws {MissingPeer} when Docker's command line is not installed. */
export async function dockerProgram(): Promise<void> {
  await outputOf('docker', ['--version']).catch((error: Error) => {
    throw new MissingPeer(`${error.message}; apt-get install docker.io`)
  })
}

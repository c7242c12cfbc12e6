import { fileURLToPath } from 'node:url'
import type { Cleanup } from '../cleanup.ts'
import { Driver } from './driver.ts'
import type { Peer } from './peer.ts'

const driver = fileURLToPath(new URL('drivers/spawn.js', import.meta.url))

/** A peer that starts a program for each command, by a command line for each sandbox that lacks only the command. */
export async function startSpawnDriver(scope: Cleanup, version: string, commandLines: readonly (readonly string[])[]): Promise<Peer> {
  const startedAt = performance.now()
  const peer = await Driver.start(scope, process.execPath, [driver, version, JSON.stringify(commandLines)])
  return { ...peer, driverMs: performance.now() - startedAt }
}

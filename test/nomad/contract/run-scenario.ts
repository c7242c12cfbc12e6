import type { Test } from 'tap'
import { NomadClient } from '../../../lib/nomad/client.ts'
import type { Stand } from './recording.ts'
import { scenarios } from './scenarios.ts'

/** Has a scenario speak to what stands there, in the place of an agent. Fails when that was asked for something else than it knows. */
export async function runScenario(t: Test, name: string, stand: Stand, token: string): Promise<void> {
  const client = new NomadClient({ address: stand.address, token })
  const stranger = new NomadClient({ address: stand.address })
  try {
    await scenarios[name]?.(t, { client, stranger })
  } finally {
    client.close()
    stranger.close()
    await stand.close()
  }
}

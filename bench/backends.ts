import { SlotpoolError } from 'slotpool'
import type { BackendName } from '../lib/config.ts'
import type { Bench } from './bench.ts'
import { openPool, systemName } from './pool.ts'

/** Runs one command on each backend that was asked for. Those where it fails are reported with the reason; the others are returned. */
export async function workingBackends(bench: Bench): Promise<BackendName[]> {
  const working: BackendName[] = []
  for (const backend of bench.options.backends) {
    const scope = bench.scope.part(`end the trial of ${backend}`)
    try {
      const { pool } = await openPool(bench, scope, backend)
      await pool.withSlot('trial', async (slot) => {
        const { exitCode } = await slot.exec('true')
        if (exitCode !== 0) throw new Error(`\`true\` exited with ${exitCode}`)
      })
      const { isolation, root, network } = await pool.status()
      bench.report.systems.set(systemName(backend), { version: 'this one', isolation: `${isolation}, root ${root}, network ${network}` })
      working.push(backend)
    } catch (error) {
      bench.signal.throwIfAborted()
      bench.report.skip(systemName(backend), reasonOf(error))
    } finally {
      await scope.run()
    }
  }
  return working
}

function reasonOf(error: unknown): string {
  return error instanceof SlotpoolError ? `${error.code}: ${error.message}` : (error as Error).message
}

import { randomBytes } from 'node:crypto'
import { type OpenOptions, SlotPool, SlotpoolError } from 'slotpool'
import type { BackendName } from '../lib/config.ts'
import type { Bench } from './bench.ts'
import type { Cleanup } from './cleanup.ts'

/** A pool of the benchmark's own. */
export interface BenchPool {
  name: string
  pool: SlotPool
  /** Ends it, before its scope does. */
  down(): Promise<void>
}

/** Options of a pool that nobody else has, with 10 slots in one container. */
export function poolOptions(bench: Bench, backend: BackendName, own: OpenOptions = {}): OpenOptions & { pool: string } {
  return {
    env: backend,
    pool: `bench-${process.pid}-${randomBytes(4).toString('hex')}`,
    slots: 10,
    min: 1,
    max: 1,
    timeoutMs: 600_000,
    // Where no agent answers, the figures of another backend must not stand in the place of Nomad's.
    ...(backend === 'nomad' ? { nomad: { fallback: 'none' } } : {}),
    signal: bench.signal,
    ...own,
  }
}

/** Opens a pool as a user would, and has the scope take it down. */
export async function openPool(bench: Bench, scope: Cleanup, backend: BackendName, own: OpenOptions = {}): Promise<BenchPool> {
  const options = poolOptions(bench, backend, own)
  let opened = false
  // Registered before there is anything, since a start that is cut off may have made something.
  const down = scope.add(`take pool ${options.pool} down`, async () => {
    const { signal: _, ...rest } = options
    try {
      const pool = await SlotPool.attach(rest)
      await pool.down()
    } catch (error) {
      // An engine that never answered has made nothing.
      if (opened || !(error instanceof SlotpoolError) || !error.code.endsWith('_UNAVAILABLE')) throw error
    }
  })
  const pool = await SlotPool.open(options)
  opened = true
  scope.add(`close pool ${options.pool}`, () => pool.close())
  return { name: options.pool, pool, down }
}

/** How a contestant of ours is called. */
export const systemName = (backend: BackendName): string => `slotpool ${backend}`

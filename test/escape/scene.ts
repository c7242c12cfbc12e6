import { randomBytes } from 'node:crypto'
import type { SlotPool } from '../../lib/pool/slot-pool.ts'
import type { Scene } from './attempt.ts'
import type { Beside } from './beside.ts'
import { outcome, prelude } from './probe.ts'

/** Every mark begins with this and the run's own word: what any attempt of a run left is found by it. */
export function markOf(run: string): string {
  return `escape-${run}-${randomBytes(4).toString('hex')}`
}

export interface OpenScene extends Scene {
  /** Ends the attempt: its own tidying first, then both slots. */
  end(): Promise<void>
}

/** Two fresh slots of a pool. */
export async function openScene(pool: SlotPool, beside: Beside, run: string): Promise<OpenScene> {
  const mark = markOf(run)
  const attacker = await pool.lease(`${mark}-attacker`)
  const neighbour = await pool.lease(`${mark}-neighbour`)
  const tidying: (() => Promise<unknown>)[] = []
  return {
    attacker,
    neighbour,
    beside,
    pool,
    mark,
    attack: async (script, options = {}) =>
      outcome(
        await attacker.exec(`${prelude}\n${script}`, {
          timeoutMs: options.timeoutMs ?? 30_000,
          env: { ESCAPE_MARK: mark, ...options.env },
        }),
      ),
    prepare: async (script) => {
      const { stdout, stderr, exitCode } = await neighbour.exec(script, { timeoutMs: 30_000, env: { ESCAPE_MARK: mark } })
      if (exitCode !== 0) throw new Error(`the neighbour could not: exit ${exitCode}\n${stdout}\n${stderr}`)
      return stdout
    },
    after: (work) => void tidying.push(work),
    end: async () => {
      const failures: unknown[] = []
      for (const work of tidying.reverse()) await work().catch((error) => failures.push(error))
      await Promise.all([attacker.release(), neighbour.release()])
      if (failures.length > 0) throw new AggregateError(failures, `the attempt could not tidy up: ${failures[0]}`)
    },
  }
}

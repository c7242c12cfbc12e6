import { setTimeout as delay } from 'node:timers/promises'
import type { Bench, Scenario } from '../bench.ts'
import { footprint, proportionalBytes, totalOf } from '../memory.ts'
import { openPool, systemName } from '../pool.ts'
import { serverOf } from '../server-process.ts'

const mebibyte = 2 ** 20
const slots = 10

/** For what was made ready behind the last answer, and for memory that is given back. */
const settleMs = 2_000

/** What an idle slot holds in memory: its jail with all that serves it, before its first lease and between two commands of a task. */
export const idleMemory: Scenario = {
  name: 'idle-memory',
  async run(bench) {
    for (const backend of bench.backends) {
      try {
        await measure(bench, backend)
      } catch (error) {
        bench.signal.throwIfAborted()
        bench.report.skip(`${systemName(backend)} in idle-memory`, (error as Error).message)
      }
    }
  },
}

async function measure(bench: Bench, backend: Bench['backends'][number]): Promise<void> {
  const system = systemName(backend)
  bench.progress(`measuring ${system}`)
  const { pool, name, down } = await openPool(bench, bench.scope, backend, { slots })
  const server = await serverOf(backend, pool, name)
  const perSlot: number[] = []
  const look = async (what: string): Promise<void> => {
    await delay(settleMs, undefined, { signal: bench.signal })
    const pids = await server.others()
    const held = await footprint(pids, server.pid)
    perSlot.push(totalOf(held) / slots / mebibyte)
    const add = (part: string, bytes: number): void => {
      const of = `${system}: ${part}`
      bench.report.add({
        scenario: 'idle-memory',
        what: `a slot, ${what}`,
        system: of,
        unit: 'MiB',
        better: 'less',
        samples: [bytes / mebibyte],
      })
    }
    add('all', totalOf(held) / slots)
    add('processes (PSS)', held.pss / slots)
    add('page tables, kernel stacks', held.kernel / slots)
    add('tmpfs', held.tmpfs / slots)
    const own = ((await proportionalBytes(server.pid)) ?? 0) / mebibyte
    bench.report.note(
      'idle-memory',
      `${system}, ${what}: ${held.processes / slots} processes a slot; the server itself has ${own.toFixed(1)} MiB (PSS)`,
    )
  }
  await look('never leased')
  const leased = await Promise.all(Array.from({ length: slots }, (_, at) => pool.lease(`bench-${at}`)))
  for (const slot of leased) await slot.exec('true')
  await look('leased, after a command')
  bench.report.judge('idle-slot', system, Math.max(...perSlot))
  await down()
}

import { SlotPool } from 'slotpool'
import { FakeBackend } from 'slotpool/fake'
import type { Bench, Scenario } from '../bench.ts'
import { type Contestant, interleave, type Measured } from '../interleave.ts'
import { type LeaseContestant, leaseIn } from '../lease-contestant.ts'
import { poolOptions } from '../pool.ts'
import { spreadOfRatio } from '../report.ts'
import { schedule } from '../schedule.ts'
import { median } from '../statistics.ts'

/** A lease in pools of 10 to 1,000 simulated containers: real servers and leases over loopback, in this process, without any shell. */
export const poolScale: Scenario = {
  name: 'pool-scale',
  async run(bench) {
    const leases: LeaseContestant[] = []
    const commands: Contestant[] = []
    const sizes = [10, 100, 1_000]
    for (const containers of sizes) {
      bench.progress(`making ${containers} simulated containers`)
      const pool = await openSimulated(bench, containers)
      const name = nameOf(containers)
      leases.push(leaseIn(pool, name))
      const slot = await pool.lease('held')
      commands.push({ name, once: () => timed(() => slot.exec('true')) })
    }
    bench.progress('measuring')
    const terms = schedule(bench, { samples: 100, budgetMs: 30_000 })
    const measured = await interleave(leases, terms)
    const common = { scenario: 'pool-scale', unit: 'ms', better: 'less' } as const
    bench.report.addMeasured(measured, { ...common, what: 'lease' })
    for (const { name: system, released } of leases) {
      bench.report.add({ ...common, what: 'release', system, samples: released.slice(terms.warmup) })
    }
    bench.report.addMeasured(await interleave(commands, terms), { ...common, what: 'exec, answered by a script' })
    const find = (containers: number): Measured | undefined =>
      measured.find((one) => one.name === nameOf(containers) && one.rounds.length > 0)
    const [few, many] = [find(10), find(1_000)]
    if (few && many) {
      bench.report.judge('pool-scale', 'slotpool', median(many.rounds.flat()) / median(few.rounds.flat()), spreadOfRatio(many, few))
    }
  },
}

const nameOf = (containers: number): string => `${containers.toLocaleString('en')} containers`

async function openSimulated(bench: Bench, containers: number): Promise<SlotPool> {
  const backend = new FakeBackend({ slots: 10 })
  bench.scope.add(`end ${containers} simulated containers`, () => backend.destroy())
  const { env: _, ...options } = poolOptions(bench, 'local', { min: containers, max: containers })
  const pool = await SlotPool.open({ ...options, backend })
  bench.scope.add('close a simulated pool', () => pool.close())
  await pool.fill(bench.signal)
  return pool
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await work()
  return performance.now() - startedAt
}

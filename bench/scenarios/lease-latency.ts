import { setTimeout as delay } from 'node:timers/promises'
import type { SlotPool } from 'slotpool'
import type { Bench, Scenario } from '../bench.ts'
import { echoBy, echoIn } from '../contestants.ts'
import { type Contestant, interleave } from '../interleave.ts'
import { type LeaseContestant, leaseIn } from '../lease-contestant.ts'
import { openPeers } from '../peers/open-peers.ts'
import { floor } from '../peers/spawn.ts'
import { openPool, systemName } from '../pool.ts'
import { schedule } from '../schedule.ts'
import { summarize } from '../statistics.ts'

/** How long a lease of a ready slot takes, and its release, beside a command on a slot that is held. */
export const leaseLatency: Scenario = {
  name: 'lease-latency',
  async run(bench) {
    const leases = new Map<string, LeaseContestant>()
    const commands: Contestant[] = []
    for (const backend of bench.backends) {
      const { pool } = await openPool(bench, bench.scope, backend)
      const name = systemName(backend)
      leases.set(
        name,
        leaseIn(pool, leaseOf(name), () => untilReady(bench, pool)),
      )
      commands.push(echoIn(await pool.lease('held'), name))
    }
    for (const peer of await openPeers(bench, 1, [floor])) commands.push(echoBy(peer))
    bench.progress('measuring')
    const { warmup, ...rest } = schedule(bench, { samples: 100 })
    const measured = await interleave([...leases.values(), ...commands], { ...rest, warmup })
    for (const one of measured) {
      const lease = one.name.startsWith(leaseOf(''))
      const name = lease ? one.name.slice(leaseOf('').length) : one.name
      bench.report.addMeasured([{ ...one, name }], {
        scenario: 'lease-latency',
        what: lease ? 'lease' : 'echo hello',
        unit: 'ms',
        better: 'less',
      })
    }
    for (const backend of bench.backends) {
      const name = systemName(backend)
      // The first ones belong to the warm-up of the lease before them.
      const released = leases.get(name)?.released.slice(warmup) ?? []
      const of = (what: string) => measured.find((one) => one.name === what)?.rounds.flat() ?? []
      const leased = of(leaseOf(name))
      const commanded = of(name)
      if (released.length === 0 || leased.length === 0 || commanded.length === 0) continue
      const release = bench.report.add({
        scenario: 'lease-latency',
        what: 'release',
        system: name,
        unit: 'ms',
        better: 'less',
        samples: released,
      })
      const exec = summarize(commanded).p50
      bench.report.judge('lease', name, summarize(leased).p50 / exec)
      bench.report.judge('release', name, release.p50 / exec)
    }
  },
}

const leaseOf = (name: string): string => `lease of ${name}`

/** The wipe of the slots before this one goes on behind their release; what is measured is the lease of a slot that is ready. */
async function untilReady(bench: Bench, pool: SlotPool): Promise<void> {
  for (;;) {
    const { totals } = await pool.status(bench.signal)
    if (totals.idle + totals.leased === totals.slots) return
    await delay(5, undefined, { signal: bench.signal })
  }
}

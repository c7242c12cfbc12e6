import type { Bench, Scenario } from '../bench.ts'
import { echoBy, echoIn } from '../contestants.ts'
import { type Contestant, interleave, type Measured } from '../interleave.ts'
import { dockerExec } from '../peers/docker-exec.ts'
import { openPeers } from '../peers/open-peers.ts'
import { floor } from '../peers/spawn.ts'
import { openPool, systemName } from '../pool.ts'
import { spreadOfRatio } from '../report.ts'
import { schedule } from '../schedule.ts'
import { summarize } from '../statistics.ts'

/** How long one `echo hello` takes, sequentially, on a slot that is leased and warm. */
export const execLatency: Scenario = {
  name: 'exec-latency',
  async run(bench) {
    const contestants: Contestant[] = []
    for (const backend of bench.backends) {
      const { pool } = await openPool(bench, bench.scope, backend)
      contestants.push(echoIn(await pool.lease('bench'), systemName(backend)))
    }
    for (const peer of await openPeers(bench, 1)) contestants.push(echoBy(peer))
    bench.progress('measuring')
    const measured = await interleave(contestants, schedule(bench, { samples: 200 }))
    bench.report.addMeasured(measured, { scenario: 'exec-latency', what: 'echo hello', unit: 'ms', better: 'less' })
    judge(bench, measured)
  },
}

function judge(bench: Bench, measured: readonly Measured[]): void {
  const whole = (name: string) => {
    const found = measured.find((one) => one.name === name && one.failure === undefined)
    return found && { rounds: found, summary: summarize(found.rounds.flat()) }
  }
  const bare = whole(floor.name)
  const viaDocker = whole(dockerExec.name)
  for (const backend of bench.backends) {
    const ours = whole(systemName(backend))
    if (!ours) continue
    const { p50, p99 } = ours.summary
    if (bare) {
      bench.report.judge('exec-p50', systemName(backend), p50 / bare.summary.p50, spreadOfRatio(ours.rounds, bare.rounds))
      bench.report.judge('exec-p99', systemName(backend), p99 / bare.summary.p99)
    }
    if (viaDocker) bench.report.judge('docker-exec', systemName(backend), viaDocker.summary.p50 / p50)
  }
}

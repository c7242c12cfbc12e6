import type { Bench, Scenario } from '../bench.ts'
import { Cleanup } from '../cleanup.ts'
import { checkEcho } from '../contestants.ts'
import { type Contestant, interleave, type Measured } from '../interleave.ts'
import { runBareTask } from '../nomad-task.ts'
import { allPeers } from '../peers/all-peers.ts'
import { MissingPeer, type PeerKind } from '../peers/peer.ts'
import { openPool, systemName } from '../pool.ts'
import { spreadOfRatio } from '../report.ts'
import { schedule } from '../schedule.ts'
import { median } from '../statistics.ts'

const bareTask = 'Nomad, bare task'

/** From nothing, no container and no pool, to the answer of the first command. */
export const coldStart: Scenario = {
  name: 'cold-start',
  async run(bench) {
    const contestants: Contestant[] = bench.backends.map((backend) => ({
      name: systemName(backend),
      once: () => firstCommand(bench, backend),
    }))
    if (bench.backends.includes('nomad')) contestants.push({ name: bareTask, once: () => runBareTask(bench) })
    for (const kind of allPeers) if (await isThere(bench, kind)) contestants.push({ name: kind.name, once: () => firstOfPeer(bench, kind) })
    bench.progress('measuring')
    const samples = schedule(bench, { samples: 10 })
    const measured = await interleave(contestants, { ...samples, burst: 1, warmup: 1, budgetMs: 60_000, settleMs: 500 })
    bench.report.addMeasured(measured, { scenario: 'cold-start', what: 'nothing to first command', unit: 'ms', better: 'less' })
    const find = (name: string): Measured | undefined => measured.find((one) => one.name === name && one.rounds.length > 0)
    const [ours, theirs] = [find(systemName('nomad')), find(bareTask)]
    if (ours && theirs) {
      const ratio = median(ours.rounds.flat()) / median(theirs.rounds.flat())
      bench.report.judge('nomad-cold-start', systemName('nomad'), ratio, spreadOfRatio(ours, theirs))
    }
  },
}

/** Undoing what was made is not part of what is measured. */
async function firstCommand(bench: Bench, backend: Bench['backends'][number]): Promise<number> {
  return inOwnScope(bench, async (scope) => {
    const startedAt = performance.now()
    const { pool } = await openPool(bench, scope, backend)
    const slot = await pool.lease('bench')
    const { stdout, exitCode } = await slot.exec('echo hello')
    const elapsedMs = performance.now() - startedAt
    checkEcho(stdout, exitCode)
    return elapsedMs
  })
}

async function firstOfPeer(bench: Bench, kind: PeerKind): Promise<number> {
  return inOwnScope(bench, async (scope) => {
    const startedAt = performance.now()
    const peer = await kind.open(bench, scope, 1)
    const { stdout, exitCode } = await peer.run('echo hello')
    const elapsedMs = performance.now() - startedAt - (peer.driverMs ?? 0)
    checkEcho(stdout, exitCode)
    return elapsedMs
  })
}

async function inOwnScope<T>(bench: Bench, work: (scope: Cleanup) => Promise<T>): Promise<T> {
  const scope = new Cleanup()
  const end = bench.scope.add('end a cold start', () => scope.run())
  try {
    return await work(scope)
  } finally {
    await end()
  }
}

async function isThere(bench: Bench, kind: PeerKind): Promise<boolean> {
  try {
    await inOwnScope(bench, async (scope) => {
      const { version } = await kind.open(bench, scope, 1)
      bench.report.systems.set(kind.name, { version, isolation: kind.isolation })
    })
    return true
  } catch (error) {
    bench.signal.throwIfAborted()
    bench.report.skip(kind.name, `${error instanceof MissingPeer ? 'missing' : 'failed'}: ${(error as Error).message}`)
    return false
  }
}

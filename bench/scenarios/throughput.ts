import type { Bench, Scenario } from '../bench.ts'
import { checkEcho } from '../contestants.ts'
import { inParallel } from '../in-parallel.ts'
import { type Contestant, interleave } from '../interleave.ts'
import { type OpenPeer, openPeers } from '../peers/open-peers.ts'
import { floor } from '../peers/spawn.ts'
import { openPool, systemName } from '../pool.ts'
import { spreadOfRatio } from '../report.ts'
import { schedule } from '../schedule.ts'
import { summarize } from '../statistics.ts'

const command = 'echo hello'
const sandboxes = 10

/** How many short commands a second ten sandboxes run, each one at a time. */
export const throughput: Scenario = {
  name: 'throughput',
  async run(bench) {
    const { samples, ...rest } = schedule(bench, { samples: 5 })
    const commands = bench.options.quick ? 200 : 1_000
    const contestants: Contestant[] = []
    for (const backend of bench.backends) contestants.push(await ours(bench, backend, commands))
    for (const peer of await openPeers(bench, sandboxes)) contestants.push(await theirs(bench, peer, commands))
    bench.progress('measuring')
    const measured = await interleave(contestants, { ...rest, samples, burst: 1, warmup: 0 })
    const what = `${commands.toLocaleString('en')} × echo hello, ${sandboxes} at a time`
    bench.report.addMeasured(measured, { scenario: 'throughput', what, unit: 'commands/s', better: 'more' })
    const bare = measured.find((one) => one.name === floor.name)
    for (const backend of bench.backends) {
      const mine = measured.find((one) => one.name === systemName(backend))
      if (!mine || !bare || mine.rounds.length === 0 || bare.rounds.length === 0 || mine.failure !== undefined) continue
      const ratio = summarize(mine.rounds.flat()).p50 / summarize(bare.rounds.flat()).p50
      bench.report.judge('throughput', systemName(backend), ratio, spreadOfRatio(mine, bare))
    }
  },
}

async function ours(bench: Bench, backend: Bench['backends'][number], commands: number): Promise<Contestant> {
  const { pool } = await openPool(bench, bench.scope, backend, { slots: sandboxes })
  const slots = await Promise.all(Array.from({ length: sandboxes }, (_, at) => pool.lease(`bench-${at}`)))
  const once = (count: number) =>
    rate(count, async () => {
      await inParallel(count, sandboxes, async (worker) => {
        const { stdout, exitCode } = await (slots[worker] as (typeof slots)[number]).exec(command)
        checkEcho(stdout, exitCode)
      })
      return undefined
    })
  await once(50)
  return { name: systemName(backend), once: () => once(commands) }
}

/** A system that would take minutes runs as many commands as it can in about ten seconds: what is measured is a rate. */
async function theirs(bench: Bench, peer: OpenPeer, commands: number): Promise<Contestant> {
  const once = (count: number) =>
    rate(count, async () => {
      if (peer.batch) return peer.batch(command, 'hello\n', count, sandboxes)
      await inParallel(count, sandboxes, async (worker) => {
        bench.signal.throwIfAborted()
        const { stdout, exitCode } = await peer.run(command, worker)
        checkEcho(stdout, exitCode)
      })
      return undefined
    })
  const probe = 2 * sandboxes
  let count = commands
  const contestant = { name: peer.name, once: () => once(count) }
  try {
    count = Math.max(probe, Math.min(commands, Math.round((await once(probe)) * (bench.options.quick ? 1 : 10))))
  } catch {
    // It fails again when it is measured, and is reported then.
    bench.signal.throwIfAborted()
  }
  if (count < commands) bench.report.note('throughput', `${peer.name} ran ${count} commands a time`)
  return contestant
}

async function rate(count: number, work: () => Promise<number | undefined>): Promise<number> {
  const startedAt = performance.now()
  const ownMs = await work()
  return count / ((ownMs ?? performance.now() - startedAt) / 1_000)
}

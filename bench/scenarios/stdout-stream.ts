import { createHash } from 'node:crypto'
import type { Slot, SlotPool } from 'slotpool'
import type { BackendName } from '../../lib/config.ts'
import type { Bench, Scenario } from '../bench.ts'
import { type Contestant, interleave } from '../interleave.ts'
import { memoryPeak, type Peak } from '../memory.ts'
import { allPeers } from '../peers/all-peers.ts'
import { openPeers } from '../peers/open-peers.ts'
import type { Streamed } from '../peers/peer.ts'
import { floor } from '../peers/spawn.ts'
import { openPool, systemName } from '../pool.ts'
import { spreadOfRatio } from '../report.ts'
import { schedule } from '../schedule.ts'
import { serverOf } from '../server-process.ts'
import { summarize } from '../statistics.ts'

const mebibyte = 2 ** 20

type Stream = (command: string, hashed: boolean) => Promise<Streamed>

/** One command's stdout, a gibibyte of it: how fast it comes, what it costs the server, and whether it is what was written. */
export const stdoutStream: Scenario = {
  name: 'stdout-stream',
  async run(bench) {
    const { samples, ...rest } = schedule(bench, { samples: 5 })
    const bytes = (bench.options.quick ? 64 : 1024) * mebibyte
    const kinds = allPeers.filter(({ streams }) => streams)
    for (const { name, streams } of allPeers) if (!streams) bench.report.skip(`${name} in stdout-stream`, 'it collects output in memory')
    const peers = await openPeers(bench, 1, kinds)
    const bareStream = peers.find(({ name }) => name === floor.name)?.stream
    const contestants = peers.map((peer) => streaming(peer.name, peer.stream as Stream, bytes))
    for (const backend of bench.backends) {
      const { pool, name } = await openPool(bench, bench.scope, backend)
      const stream = inSlot(bench, await pool.lease('bench'))
      if (bareStream) await memoryAndLoss(bench, backend, { pool, name, stream, bareStream, bytes })
      contestants.push(streaming(systemName(backend), stream, bytes))
    }
    bench.progress('measuring')
    const measured = await interleave(contestants, { ...rest, samples, burst: 1, warmup: 1, budgetMs: 60_000 })
    bench.report.addMeasured(measured, {
      scenario: 'stdout-stream',
      what: `${bytes / mebibyte} MiB of stdout`,
      unit: 'MiB/s',
      better: 'more',
    })
    const bare = measured.find((one) => one.name === floor.name)
    for (const backend of bench.backends) {
      const mine = measured.find((one) => one.name === systemName(backend))
      if (!mine || !bare || mine.rounds.length === 0 || bare.rounds.length === 0) continue
      const ratio = summarize(mine.rounds.flat()).p50 / summarize(bare.rounds.flat()).p50
      bench.report.judge('stream-rate', systemName(backend), ratio, spreadOfRatio(mine, bare))
    }
  },
}

function inSlot(bench: Bench, slot: Slot): Stream {
  return async (command, hashed) => {
    const startedAt = performance.now()
    const hash = hashed ? createHash('sha256') : undefined
    let bytes = 0
    const onStdout = (chunk: Buffer): void => {
      bytes += chunk.length
      hash?.update(chunk)
    }
    const { exitCode } = await slot.exec(command, { encoding: 'buffer', onStdout, signal: bench.signal })
    return { bytes, exitCode, elapsedMs: performance.now() - startedAt, sha256: hash?.digest('hex') ?? null }
  }
}

/** Zeros, since making them costs next to nothing: what is measured is the way, not the source. */
function streaming(name: string, stream: Stream, bytes: number): Contestant {
  return {
    name,
    async once() {
      const got = await stream(`head -c ${bytes} /dev/zero`, false)
      if (got.bytes !== bytes || got.exitCode !== 0) throw new Error(`got ${got.bytes} of ${bytes} bytes and exit code ${got.exitCode}`)
      return bytes / mebibyte / (got.elapsedMs / 1_000)
    },
  }
}

interface Streaming {
  pool: SlotPool
  /** Of the pool. */
  name: string
  stream: Stream
  bareStream: Stream
  bytes: number
}

/**
 * The first stream of a server that has only just begun, so that nothing it holds on to counts as having been there. Its content is
 * numbers, where a part that is missing, doubled or out of order shows; the same command outside of any slot tells what they should be.
 */
async function memoryAndLoss(bench: Bench, backend: BackendName, { pool, name, stream, bareStream, bytes }: Streaming): Promise<void> {
  const system = systemName(backend)
  const command = `seq 1 1000000000 | head -c ${bytes}`
  bench.progress(`checking what arrives from ${system}`)
  const peak = await memoryPeakOf(backend, pool, name).catch((error: Error) => {
    bench.report.skip(`memory of ${system} in stdout-stream`, error.message)
    return undefined
  })
  const got = await stream(command, true)
  const grown = await peak?.bytes()
  const expected = await bareStream(command, true)
  const lost = expected.bytes - got.bytes
  const changed = lost === 0 && got.sha256 !== expected.sha256
  if (changed) bench.report.failures.push({ what: `stdout-stream on ${system}`, why: 'all bytes arrived, but not those that were written' })
  bench.report.judge('stream-lost', system, changed ? bytes : Math.abs(lost))
  if (grown === undefined) return
  const what = `growth of the server's memory in its first ${bytes / mebibyte} MiB`
  bench.report.add({ scenario: 'stdout-stream', what, system, unit: 'MiB', better: 'less', samples: [grown / mebibyte] })
  bench.report.judge('stream-memory', system, grown / mebibyte)
}

async function memoryPeakOf(backend: BackendName, pool: SlotPool, name: string): Promise<Peak> {
  return memoryPeak((await serverOf(backend, pool, name)).pid)
}

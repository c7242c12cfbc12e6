import type { Slot } from 'slotpool'
import type { Bench, Scenario } from '../bench.ts'
import { checkEcho, echoBy } from '../contestants.ts'
import { inParallel } from '../in-parallel.ts'
import { footprint, totalOf } from '../memory.ts'
import { openPeers } from '../peers/open-peers.ts'
import { floor } from '../peers/spawn.ts'
import { openPool, systemName } from '../pool.ts'
import { serverOf } from '../server-process.ts'

const mebibyte = 2 ** 20
const commandsAtATime = 10

/** One container with 1 to 200 slots, all leased at once: how cost grows. */
export const concurrentLeases: Scenario = {
  name: 'concurrent-leases',
  async run(bench) {
    const [bare] = await openPeers(bench, 1, [floor])
    for (const backend of bench.backends) {
      for (const slots of bench.options.quick ? [1, 10, 50] : [1, 10, 50, 100, 200]) {
        try {
          await measure(bench, backend, slots)
        } catch (error) {
          bench.signal.throwIfAborted()
          bench.report.skip(`${systemName(backend)} with ${slots} slots in concurrent-leases`, (error as Error).message)
        }
        // Beside each size, for what the machine gave meanwhile.
        if (bare)
          bench.report.add({
            ...common,
            what: `${slots} slots: echo hello`,
            system: floor.name,
            samples: await repeat(50, echoBy(bare).once),
          })
      }
    }
  },
}

const common = { scenario: 'concurrent-leases', unit: 'ms', better: 'less' } as const

async function measure(bench: Bench, backend: Bench['backends'][number], slots: number): Promise<void> {
  const system = systemName(backend)
  bench.progress(`${system} with ${slots} slots`)
  const add = (what: string, samples: number[], more: { unit?: string; better?: 'less' | 'more' } = {}) =>
    bench.report.add({ ...common, what, system: `${system}, ${slots} slots`, samples, ...more })
  const openedAt = performance.now()
  const { pool, name, down } = await openPool(bench, bench.scope, backend, { slots })
  add('open, each slot', [(performance.now() - openedAt) / slots])

  const held: Slot[] = []
  const leasing = performance.now()
  const lease = await each(slots, async (at) => {
    held[at] = await pool.lease(`bench-${at}`, { signal: bench.signal })
  })
  add('lease, all at once', lease)
  add('lease, each of all', [(performance.now() - leasing) / slots])

  const order = bench.random.shuffled(held)
  const echo = async (slot: Slot): Promise<void> => {
    const { stdout, exitCode } = await slot.exec('echo hello', { signal: bench.signal })
    checkEcho(stdout, exitCode)
  }
  for (const slot of order) await echo(slot)
  let next = 0
  const samples = await repeat(50, async () => {
    const startedAt = performance.now()
    await echo(order[next++ % slots] as Slot)
    return performance.now() - startedAt
  })
  add('echo hello', samples)

  const workers = Math.min(commandsAtATime, slots)
  const commands = bench.options.quick ? 200 : 1_000
  const startedAt = performance.now()
  // A worker goes through slots of its own, so that all of them take part.
  const turns = new Array<number>(workers).fill(0)
  await inParallel(commands, workers, async (worker) => {
    const turn = turns[worker] as number
    turns[worker] = turn + 1
    await echo(order[(worker + turn * workers) % (slots - (slots % workers))] as Slot)
  })
  add(`commands, ${commandsAtATime} at a time at most`, [commands / ((performance.now() - startedAt) / 1_000)], {
    unit: 'commands/s',
    better: 'more',
  })

  await addMemory(bench, backend, pool, name, slots, add)
  add('release, all at once', await each(slots, async (at) => (held[at] as Slot).release()))
  await down()
}

async function addMemory(
  bench: Bench,
  backend: Bench['backends'][number],
  pool: Parameters<typeof serverOf>[1],
  name: string,
  slots: number,
  add: (what: string, samples: number[], more: { unit: string }) => unknown,
): Promise<void> {
  try {
    const server = await serverOf(backend, pool, name)
    add('memory, each slot', [totalOf(await footprint(await server.others(), server.pid)) / slots / mebibyte], { unit: 'MiB' })
  } catch (error) {
    bench.report.skip(`memory of ${systemName(backend)} in concurrent-leases`, (error as Error).message)
  }
}

/** Does all at once; resolves with what each took. */
async function each(count: number, work: (at: number) => Promise<void>): Promise<number[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, at) => {
      const startedAt = performance.now()
      await work(at)
      return performance.now() - startedAt
    }),
  )
}

async function repeat(times: number, once: () => Promise<number>): Promise<number[]> {
  const samples: number[] = []
  for (let run = 0; run < times; run++) samples.push(await once())
  return samples
}

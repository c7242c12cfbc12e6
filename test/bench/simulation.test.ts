import t from 'tap'
import { UsageError } from '../../bench/command-line.ts'
import { parseDayArguments } from '../../bench/simulation/day-arguments.ts'
import { DayLog } from '../../bench/simulation/day-log.ts'
import type { DayReport } from '../../bench/simulation/day-report.ts'
import { costByContainers, heapSlope } from '../../bench/simulation/day-report.ts'
import type { DayTask } from '../../bench/simulation/day-workload.ts'
import { judgeDay } from '../../bench/simulation/judge-day.ts'
import { leastSquares } from '../../bench/simulation/least-squares.ts'
import { observeDay } from '../../bench/simulation/observe-day.ts'
import { renderDayChart } from '../../bench/simulation/render-day.ts'
import { SimulatedClock } from '../../bench/simulation/simulated-clock.ts'
import { usualDay } from '../../bench/simulation/usual-day.ts'

t.test('an hour of a pool in simulated time', async (t) => {
  // What is in memory keeps no process alive.
  const alive = setInterval(() => {}, 1_000)
  t.teardown(() => clearInterval(alive))
  const report = await observeDay(usualDay({ tasks: 160, hours: 1, containers: 6, managers: 3, medianMs: 160_000, seed: 7 }))
  for (const { what, got, expected, holds } of judgeDay(report)) {
    // Of so few, single ones decide, and a processor is shared with other tests.
    if (!/fairness|processor time/.test(what)) t.ok(holds, `${what}: ${got}, expected ${expected}`)
  }
  t.equal(
    Object.values(report.outcomes).reduce((sum, count) => sum + count, 0),
    160,
    'each task ended once',
  )
  t.ok((report.outcomes.released ?? 0) > 120, JSON.stringify(report.outcomes))
  t.ok(Math.max(...report.samples.map((one) => one.containers)) > 1, 'the pool grew')
  t.equal(report.samples.at(-1)?.containers, report.min, 'and became as small as it may be')
  t.ok(report.utilisation > 0 && report.utilisation <= 1)
  t.match(renderDayChart(report, 'test'), /^<svg [\s\S]*leased of started[\s\S]*<\/svg>\n$/)
})

t.test('a day of which something does not hold is told', async (t) => {
  const cost = { n: 5, ms: at(1), cpuMs: at(1), requests: at(1) }
  const well = {
    heapSlope: 0,
    costByContainers: [
      { from: 0, to: 20, ...cost },
      { from: 900, to: 1_000, ...cost },
    ],
    fairness: { index: 1, tenants: 60 },
    overtaken: 0,
    foreign: 0,
    second: 0,
    outOfBounds: 0,
    overshoot: { all: 0, growths: [] },
    left: { containers: 0, leased: 0, held: 0, waiting: 0, timers: 0 },
  } as unknown as DayReport
  const failed = (change: Partial<DayReport>): string[] =>
    judgeDay({ ...well, ...change })
      .filter((one) => !one.holds)
      .map((one) => one.what)
  t.same(failed({}), [])
  const dear = { from: 900, to: 1_000, ...cost, cpuMs: at(2) }
  for (const [change, expected] of [
    [{ heapSlope: 5 }, /memory/],
    [{ costByContainers: [...well.costByContainers.slice(0, 1), dear] }, /900 to 1000 containers against one with 0 to 20/],
    [{ fairness: { index: 0.5, tenants: 9 } }, /fairness/],
    [{ overtaken: 1 }, /come before/],
    [{ foreign: 1 }, /another task/],
    [{ second: 1 }, /two slots/],
    [{ outOfBounds: 1 }, /more containers/],
    [{ overshoot: { all: 2, growths: [] } }, /beyond/],
    [{ left: { ...well.left, held: 1 } }, /held/],
    [{ left: { ...well.left, containers: 1 } }, /taken down/],
    [{ left: { ...well.left, timers: 1 } }, /timers/],
  ] as const) {
    const found = failed(change as Partial<DayReport>)
    t.equal(found.length, 1, `${expected}: ${found.join('; ')}`)
    t.match(found[0], expected)
  }
})

t.test('who is served before somebody who had come before is counted, and waits are told by tenant', async (t) => {
  let now = 0
  let silent = false
  const log = new DayLog({ tasks: 10, managers: 2, tenants: 3, now: () => now, silent: () => silent })
  const task = (id: string, manager: number, tenant: number) => ({ id, manager, tenant }) as DayTask
  const [a, b, other] = [task('a', 0, 0), task('b', 0, 1), task('c', 1, 2)]
  log.came(a)
  now = 10
  log.came(b)
  log.came(other)
  now = 20
  t.equal(log.served(other), 10, 'of another manager')
  t.equal(log.overtaken, 0)
  t.equal(log.served(b), 10)
  t.equal(log.overtaken, 1)
  t.equal(log.served(a), 20)
  t.equal(log.waiting, 0)
  silent = true
  log.came(a)
  now = 30
  log.came(b)
  log.served(b)
  t.equal(log.overtakenInSilence, 1)
  log.refused(a, 'POOL_FULL')
  t.same(log.outcomes.get('POOL_FULL'), 1)

  const fair = new DayLog({ tasks: 10, managers: 1, tenants: 2, now: () => now, silent: () => false })
  const wait = (tenant: number, ms: number): void => {
    const one = task(`t${tenant}`, 0, tenant)
    fair.came(one)
    now += ms
    fair.served(one)
  }
  for (let round = 0; round < 20; round++) for (const tenant of [0, 1]) wait(tenant, tenant === 0 ? 100 : 300)
  t.same(fair.fairness, { index: 1, tenants: 2 }, 'who comes when others are many waits longer, and is not treated worse')
  t.same(fair.takeFairness(), { index: 1, tenants: 2 })
  // Tenant 0 came first and is served last, each time: 200 of 100, and 100 of 200.
  for (let round = 0; round < 20; round++) {
    const [early, late] = [task(`early ${round}`, 0, 0), task(`late ${round}`, 0, 1)]
    fair.came(early)
    fair.came(late)
    now += 100
    fair.served(late)
    now += 100
    fair.served(early)
  }
  // (2 + 1/2)² / (2 · (2² + (1/2)²))
  t.equal(fair.takeFairness().index.toFixed(6), (0.735294).toFixed(6), 'of those since it was last asked for')
  const none = new DayLog({ tasks: 10, managers: 2, tenants: 2, now: () => now, silent: () => false })
  for (let round = 0; round < 20; round++) {
    const [goes, stays, next] = [task(`goes ${round}`, 0, 0), task(`stays ${round}`, 1, 1), task(`next ${round}`, 1, 1)]
    none.came(goes)
    none.came(stays)
    none.came(next)
    now += 10
    none.served(stays)
    none.refused(goes, 'POOL_FULL')
    now += 10
    none.served(next)
  }
  t.same(none.fairness, { index: 1, tenants: 2 }, 'the slot of one who would have had it and left is for the next')
})

t.test('memory is judged while a pool stays as large as it is', async (t) => {
  const sample = (hour: number, containers: number, heapMiB: number) => ({ hour, containers, heapMiB, residentMiB: 0, leased: 0 })
  const growing = Array.from({ length: 8 }, (_, at) => sample(4 + at, 10 * (at + 1), 100 * at))
  const steady = Array.from({ length: 8 }, (_, at) => sample(12 + at, at % 2 ? 1_000 : 990, 800 + 3 * at))
  t.equal(heapSlope(growing), null)
  t.equal(heapSlope([...growing, ...steady])?.toFixed(6), '3.000000')
})

t.test('the simulated clock calls what is due, in order, and nothing that was stopped', async (t) => {
  const clock = new SimulatedClock(1_000)
  const called: string[] = []
  const set = (name: string, ms: number) => clock.after(ms, () => called.push(`${name} ${clock.now()}`))
  set('b', 20)
  set('a', 10)
  const stop = set('stopped', 10)
  set('c', 20)
  stop()
  t.equal(clock.pending, 3)
  for (let moment = clock.take(1_100); moment; moment = clock.take(1_100)) clock.call(moment)
  t.same(called, ['a 1010', 'b 1020', 'c 1020'])
  const stops = Array.from({ length: 50_000 }, (_, at) => set(`many ${at}`, 1 + (at % 97)))
  for (const one of stops.slice(1)) one()
  t.equal(clock.pending, 1, 'those that were stopped are swept out')
  const moment = clock.take(9_999)
  t.equal(moment?.timers.length, 1)
  t.equal(clock.take(9_999), undefined)
})

t.test('least squares find what values were made of', async (t) => {
  const rows = Array.from({ length: 20 }, (_, at) => [1, at, (at * 7) % 5])
  const values = rows.map(([one, a, b]) => 3 * (one as number) + 0.5 * (a as number) - 2 * (b as number))
  const found = leastSquares(rows, values).map((one) => Number(one.toFixed(9)))
  t.same(found, [3, 0.5, -2])
  t.throws(
    () =>
      leastSquares(
        [
          [1, 2],
          [2, 4],
        ],
        [1, 2],
      ),
    RangeError,
  )
})

t.test('what the command line says', async (t) => {
  t.match(parseDayArguments([]), { tasks: 1_000_000, hours: 24, containers: 1_000, managers: 3 })
  t.match(parseDayArguments(['--hours', '12', '--containers', '100']), { tasks: 50_000, medianMs: 160_000 })
  t.match(parseDayArguments(['--tasks', '7', '--median-seconds', '16']), { tasks: 7, medianMs: 16_000 })
  for (const args of [
    ['--hours', '0'],
    ['--containers', 'x'],
    ['--what', '1'],
  ])
    t.throws(() => parseDayArguments(args), { constructor: UsageError, message: /expected a whole number|Unknown option/ })
})

function at(p50: number) {
  return { n: 5, min: p50, p25: p50, p50, p75: p50, p99: p50, max: p50, mad: 0 }
}

t.test('the costs of as many leases as a day has', async (t) => {
  const count = 1_000_000
  const column = (of: (at: number) => number): Float32Array => Float32Array.from({ length: count }, (_, at) => of(at))
  const costs = { count, containers: column((at) => at % 1_000), ms: column(() => 1), cpuMs: column(() => 2), requests: column(() => 3) }
  t.match(costByContainers(costs).at(-1), { from: 900, to: 999, n: count / 10, cpuMs: { p50: 2 } })
})

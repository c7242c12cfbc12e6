import fc from 'fast-check'
import t from 'tap'
import { LeasePeaks } from '../../lib/sandbox/lease-peaks.ts'
import { MovedClock } from '../fixtures/moved-clock.ts'

const hourMs = 3_600_000

t.test('the most that were leased at once is told for as long as is asked', async (t) => {
  const clock = new MovedClock()
  const peaks = new LeasePeaks(clock)
  t.equal(peaks.most(hourMs), 0)
  for (const leased of [1, 2, 3, 2, 1, 0]) peaks.note(leased)
  t.equal(peaks.most(0), 0, 'now there are none')
  t.equal(peaks.most(1), 3, 'a moment ago there were')
  clock.move(60_000)
  peaks.note(1)
  t.equal(peaks.most(30_000), 1)
  t.equal(peaks.most(60_000), 3)
  clock.move(hourMs)
  t.equal(peaks.most(hourMs), 1, 'what does not change is still so')
  peaks.note(0)
  clock.move(hourMs + 1_000)
  t.equal(peaks.most(hourMs), 0)
})

t.test('it is never too low, and too high only by what was within the second before', async (t) => {
  const steps = fc.array(fc.record({ byMs: fc.nat(2_000_000), leased: fc.nat(1_000) }), { maxLength: 30 })
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: hourMs }), (steps, withinMs) => {
      const clock = new MovedClock()
      const peaks = new LeasePeaks(clock)
      // From each moment on, so many.
      const known: { atMs: number; leased: number }[] = [{ atMs: clock.now(), leased: 0 }]
      for (const { byMs, leased } of steps) {
        clock.move(byMs)
        peaks.note(leased)
        known.push({ atMs: clock.now(), leased })
      }
      clock.move(1_234)
      const since = (fromMs: number): number =>
        Math.max(...known.map(({ leased }, at) => ((known[at + 1]?.atMs ?? Number.POSITIVE_INFINITY) >= fromMs ? leased : 0)))
      const most = peaks.most(withinMs)
      t.ok(most >= since(clock.now() - withinMs + 1), 'no lower')
      return most <= since(clock.now() - withinMs - 2_000)
    }),
    { numRuns: 200 },
  )
})

t.test('a clock that is put back loses nothing', async (t) => {
  const clock = new MovedClock()
  const peaks = new LeasePeaks(clock)
  peaks.note(5)
  clock.move(-10_000)
  peaks.note(2)
  t.equal(peaks.most(0), 2)
  t.equal(peaks.most(1), 5)
  clock.move(20_000)
  t.equal(peaks.most(1_000), 2)
})

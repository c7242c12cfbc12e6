import fc from 'fast-check'
import t from 'tap'
import { median, quantile, summarize } from '../../bench/statistics.ts'

t.test('a summary of known samples', async (t) => {
  // By R: quantile(c(1, 2, 3, 4, 10), c(.25, .5, .75, .99)) and mad(…, constant = 1).
  t.same(summarize([10, 1, 3, 2, 4]), { n: 5, min: 1, p25: 2, p50: 3, p75: 4, p99: 9.76, max: 10, mad: 1 })
  t.same(summarize([5]), { n: 1, min: 5, p25: 5, p50: 5, p75: 5, p99: 5, max: 5, mad: 0 })
  t.equal(median([1, 2, 3, 4]), 2.5)
  t.equal(quantile([0, 10], 0.25), 2.5)
})

t.test('numbers are sorted as numbers', async (t) => {
  t.equal(median([9, 10, 100]), 10)
})

t.test('samples stay as they were', async (t) => {
  const samples = [3, 1, 2]
  summarize(samples)
  t.same(samples, [3, 1, 2])
})

t.test('without samples nothing is known', async (t) => {
  t.throws(() => summarize([]), RangeError)
})

t.test('the order of samples does not matter, and each figure lies between its neighbours', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 50 }), (samples) => {
      const { min, p25, p50, p75, p99, max, mad } = summarize(samples)
      t.same(summarize([...samples].reverse()), summarize(samples))
      return min <= p25 && p25 <= p50 && p50 <= p75 && p75 <= p99 && p99 <= max && mad <= max - min
    }),
  )
})

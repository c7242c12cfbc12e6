import t from 'tap'
import { weakerLimits } from '../../lib/pool/weaker-limits.ts'
import { type LimitsInForce, noLimits } from '../../lib/wire/limits.ts'

t.test('of each limit the one that allows more', async (t) => {
  const limit = (value: number) => ({ value, by: 'cgroup' }) as const
  const a: LimitsInForce = { ...noLimits, memoryBytes: limit(1), processes: limit(7), openFiles: limit(5) }
  const b: LimitsInForce = { ...noLimits, memoryBytes: limit(2), processes: limit(6), diskBytes: limit(9) }
  const weaker = { ...noLimits, memoryBytes: limit(2), processes: limit(7) }
  t.same(weakerLimits(a, b), weaker)
  t.same(weakerLimits(b, a), weaker)
})

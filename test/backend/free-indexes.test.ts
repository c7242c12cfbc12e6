import t from 'tap'
import { freeIndexes } from '../../lib/backend/free-indexes.ts'

t.test('the lowest that nobody has', async (t) => {
  t.same(freeIndexes(new Set(), 3), [0, 1, 2])
  t.same(freeIndexes(new Set([0, 2, 5]), 3), [1, 3, 4])
  t.same(freeIndexes(new Set([0]), 0), [])
})

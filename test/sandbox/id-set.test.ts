import { randomUUID } from 'node:crypto'
import t from 'tap'
import { IdSet } from '../../lib/sandbox/id-set.ts'

t.test('it has what was added, and nothing else, however much that is', async (t) => {
  const ids = new IdSet()
  t.notOk(ids.has('a'))
  const added = Array.from({ length: 50_000 }, (_, i) => (i % 2 === 0 ? randomUUID() : `execution-${i}`))
  for (const id of added) {
    if (ids.has(id)) t.fail(`${id} was there before it was added`)
    ids.add(id)
  }
  t.equal(ids.size, added.length)
  t.ok(
    added.every((id) => ids.has(id)),
    'none is forgotten',
  )
  for (const id of added.slice(0, 100)) ids.add(id)
  t.equal(ids.size, added.length, 'adding one again changes nothing')
  for (let i = 0; i < 50_000; i += 2) if (ids.has(`execution-${i}`)) t.fail(`execution-${i} was never added`)
  t.notOk(ids.has(''))
})

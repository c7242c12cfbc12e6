import t from 'tap'
import { executionId, leaseRequest, taskId } from '../../lib/wire/lease.ts'
import { paths } from '../../lib/wire/protocol.ts'

t.test('task ids', async (t) => {
  for (const good of ['a', 'issue #3 / ä 😀', 'x'.repeat(200), '😀'.repeat(200)]) {
    t.ok(taskId.safeParse(good).success, good.slice(0, 20))
    t.ok(paths.leaseOfTask(good))
  }
  for (const bad of ['', 'a\nb', 'a\0', '\u007f', 'x'.repeat(201), '\ud800', 1, null])
    t.notOk(taskId.safeParse(bad).success, JSON.stringify(bad))
})

t.test('execution ids', async (t) => {
  for (const good of ['a', 'A-1_b', 'x'.repeat(64)]) t.ok(executionId.safeParse(good).success)
  for (const bad of ['', 'a/b', 'a?b', '..', 'x'.repeat(65), 'ä']) t.notOk(executionId.safeParse(bad).success, bad)
})

t.test('a request with a field that nobody knows is refused', async (t) => {
  const request = { taskId: 'a', owner: 'o', ttlMs: 1 }
  t.match(leaseRequest.parse(request), { provisional: false, metadata: {} })
  t.notOk(leaseRequest.safeParse({ ...request, ttl: 1 }).success)
  for (const ttlMs of [0, -1, 0.5, 2_147_483_001, '1']) t.notOk(leaseRequest.safeParse({ ...request, ttlMs }).success)
})

t.test('metadata', async (t) => {
  const withMetadata = (metadata: unknown) => leaseRequest.safeParse({ taskId: 'a', owner: 'o', ttlMs: 1, metadata })
  const names = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`name-${i}`, 'x']))
  for (const good of [{}, { 'a.b-C_1': 'ä 😀' }, { constructor: '' }, { ['n'.repeat(64)]: '😀'.repeat(256) }, names(16)]) {
    t.same(withMetadata(good).data?.metadata, good)
  }
  const bad = [null, [], 'x', { '': 'x' }, { 'a b': 'x' }, { ä: 'x' }, { ['n'.repeat(65)]: 'x' }, names(17)]
  const badTexts = ['a\nb', '\u0000', '\u009f', 'x'.repeat(257), '\ud800', 1, null].map((text) => ({ a: text }))
  for (const one of [...bad, ...badTexts, JSON.parse('{"__proto__":"x"}')]) t.notOk(withMetadata(one).success, JSON.stringify(one))
})

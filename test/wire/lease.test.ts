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
  t.match(leaseRequest.parse(request), { provisional: false })
  t.notOk(leaseRequest.safeParse({ ...request, ttl: 1 }).success)
  for (const ttlMs of [0, -1, 0.5, 2_147_483_001, '1']) t.notOk(leaseRequest.safeParse({ ...request, ttlMs }).success)
})

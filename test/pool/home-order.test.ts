import t from 'tap'
import { homeHash, homeOf, homeOrder } from '../../lib/pool/home-order.ts'

const homes = (count: number) => Array.from({ length: count }, (_, i) => ({ id: `container-${i}`, hash: homeHash(`container-${i}`) }))
const tasks = Array.from({ length: 2_000 }, (_, i) => `task-${i}`)

t.test('every task has one home, and they are spread evenly', async (t) => {
  t.equal(homeOf('a', []), undefined)
  const all = homes(20)
  const counts = new Map<string, number>()
  for (const task of tasks) {
    const home = homeOf(task, all)
    t.equal(homeOrder(task, all)[0], home)
    counts.set(home?.id ?? '', (counts.get(home?.id ?? '') ?? 0) + 1)
  }
  t.equal(counts.size, 20)
  for (const count of counts.values()) t.ok(count > 50 && count < 150, `${count} of 2,000 over 20`)
})

t.test('when a container goes, its tasks alone find another home, the next in their order', async (t) => {
  const all = homes(20)
  const left = all.slice(1)
  for (const task of tasks) {
    const [first, second] = homeOrder(task, all)
    t.equal(homeOf(task, left), first === all[0] ? second : first)
  }
})

t.test('homes are the same in every version, or managers of two versions would give a task two slots', async (t) => {
  t.same(
    ['default', 'task-1', 'ä/ö ü', 'x'.repeat(200)].map((task) => homeOf(task, homes(50))?.id),
    ['container-30', 'container-14', 'container-17', 'container-44'],
  )
})

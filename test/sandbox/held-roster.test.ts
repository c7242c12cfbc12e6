import t from 'tap'
import { HeldRoster } from '../../lib/sandbox/held-roster.ts'

const roster = (number: number, replaces: number | null = null) => ({
  ...{ id: `roster-${number}`, number, added: replaces === null ? ['here', 'there'] : [], gone: [] },
  replaces: replaces === null ? null : `roster-${replaces}`,
})
const note = (taskId: string) => ({ taskId, leaseId: `lease-of-${taskId}`, owner: 'me', containerId: 'there' })

t.test('a roster is replaced by one of a higher number that was made from it, and serves once it is open', async (t) => {
  const held = new HeldRoster()
  t.equal(held.current, null)
  t.throws(() => held.check('roster-1'), { code: 'ROSTER_CHANGED', message: /expected none/ })
  t.throws(() => held.open({ id: 'roster-1', whereabouts: [] }), { code: 'ROSTER_CHANGED' }, 'a server that was started anew opens none')
  held.propose(roster(2))
  t.match(held.current, { number: 2, open: false })
  for (const number of [1, 2]) t.throws(() => held.propose(roster(number, 2)), { code: 'ROSTER_CHANGED', message: /above 2/ })
  for (const replaces of [null, 1]) {
    t.throws(() => held.propose(roster(3, replaces)), { code: 'ROSTER_CHANGED', message: /in the place of roster-2/ })
  }
  t.throws(() => held.check('roster-2'), { code: 'ROSTER_CHANGED', message: /once it is open/ })
  t.throws(() => held.open({ id: 'roster-1', whereabouts: [] }), { code: 'ROSTER_CHANGED' })
  held.open({ id: 'roster-2', whereabouts: [] })
  t.ok(held.serves('roster-2'))
  held.propose(roster(3, 2))
  t.notOk(held.serves('roster-2'))
  t.throws(() => held.open({ id: 'roster-2', whereabouts: [] }), { code: 'ROSTER_CHANGED' })
})

t.test('a proposal says what changes, and is refused where it does not fit what is held', async (t) => {
  const held = new HeldRoster()
  held.propose({ id: 'roster-1', number: 1, replaces: null, added: ['c', 'a'], gone: [] })
  t.same(held.current?.containers, ['a', 'c'])
  const next = { id: 'roster-2', number: 2, replaces: 'roster-1', added: [], gone: [] }
  const misfits = [
    { ...next, gone: ['b'] },
    { ...next, added: ['a'] },
    { ...next, gone: ['a', 'c'] },
    { ...next, added: Array.from({ length: 9_999 }, (_, i) => `more-${i}`) },
  ]
  for (const misfit of misfits) t.throws(() => held.propose(misfit), { code: 'REQUEST_INVALID' })
  t.match(held.current, { id: 'roster-1', containers: ['a', 'c'] }, 'and nothing of it is taken')
  held.propose({ ...next, added: ['b'], gone: ['a'] })
  t.same(held.current?.containers, ['b', 'c'])
})

t.test('what was noted since it was opened is not lost by opening it again', async (t) => {
  const held = new HeldRoster()
  held.propose(roster(1))
  held.open({ id: 'roster-1', whereabouts: [note('a')] })
  held.note(note('b'))
  held.open({ id: 'roster-1', whereabouts: [] })
  t.match(held.find('a', undefined), note('a'))
  t.match(held.find('b', undefined), note('b'))
  t.equal(held.find('b', 'lease-of-b'), undefined)
  held.forget('a', 'another')
  t.match(held.find('a', undefined), note('a'))
  held.forget('a', 'lease-of-a')
  t.equal(held.find('a', undefined), undefined)
})

t.test('with too many notes it closes, so that they are gathered anew', async (t) => {
  const held = new HeldRoster()
  held.propose(roster(1))
  held.open({ id: 'roster-1', whereabouts: [] })
  for (let i = 0; i < 10_000; i++) held.note(note(`task-${i}`))
  t.ok(held.serves('roster-1'))
  held.note(note('one more'))
  t.match(held.current, { number: 1, open: false })
  t.match(held.find('one more', undefined), note('one more'))
})

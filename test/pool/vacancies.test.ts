import t from 'tap'
import { Vacancies } from '../../lib/pool/vacancies.ts'

const none = new Set<string>()
const { signal } = new AbortController()

t.test('those who come together are told of different slots, as many as there are', async (t) => {
  const vacancies = new Vacancies()
  t.equal(vacancies.claim(none), undefined)
  vacancies.heard('a', 2)
  vacancies.heard('b', 1)
  vacancies.freed('b')
  vacancies.freed('c')
  t.same(
    Array.from({ length: 6 }, () => vacancies.claim(none)),
    ['a', 'a', 'b', 'b', 'c', undefined],
  )
})

t.test('nobody is told of where he was already, nor of one that is full', async (t) => {
  const vacancies = new Vacancies()
  vacancies.heard('a', 5)
  vacancies.heard('b', 5)
  t.equal(vacancies.claim(new Set(['a'])), 'b')
  vacancies.heard('b', 0)
  t.equal(vacancies.claim(new Set(['a'])), undefined)
  t.equal(vacancies.claim(none), 'a')
})

t.test('all are asked once for all who want to know at once, and again for who comes later', async (t) => {
  const vacancies = new Vacancies()
  const asked: string[] = []
  let fails = false
  const ask = async (id: string): Promise<number> => {
    asked.push(id)
    if (fails) throw new Error('as the test wants it')
    return id === 'b' ? 1 : 0
  }
  await Promise.all([vacancies.askAll(['a', 'b'], ask, signal), vacancies.askAll(['a', 'b'], ask, signal)])
  t.same(asked, ['a', 'b'])
  t.equal(vacancies.claim(none), 'b')
  t.equal(vacancies.claim(none), undefined)
  await vacancies.askAll(['a', 'b'], ask, signal)
  t.same(asked, ['a', 'b', 'a', 'b'])
  await t.rejects(
    vacancies.askAll(['a', 'b'], () => new Promise(() => {}), AbortSignal.abort()),
    { code: 'CANCELLED' },
  )
  const others = new Vacancies()
  fails = true
  await t.rejects(others.askAll(['a'], ask, signal), /as the test wants it/)
  fails = false
  await others.askAll(['b'], ask, signal)
  t.equal(others.claim(none), 'b', 'one that failed keeps nobody from asking again')
})

t.test('in a large pool the answers of all are believed for a moment', async (t) => {
  let nowMs = 0
  const vacancies = new Vacancies({ now: () => nowMs, after: () => () => {} })
  const ids = Array.from({ length: 200 }, (_, at) => String(at))
  let asked = 0
  const ask = async (): Promise<number> => {
    asked++
    return 0
  }
  await vacancies.askAll(ids, ask, signal)
  nowMs = 199
  await vacancies.askAll(ids, ask, signal)
  t.equal(asked, 200)
  nowMs = 200
  await vacancies.askAll(ids, ask, signal)
  t.equal(asked, 400)
})

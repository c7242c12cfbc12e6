import t from 'tap'
import { slotLimits } from '../../lib/wire/limits.ts'

const least = { memoryBytes: 2 ** 24, processes: 16, cpuWeight: 1, openFiles: 64, diskBytes: 2 ** 22, outputBytes: 1024 }

t.test('each limit may be left out, and has a least value', async (t) => {
  t.same(slotLimits.parse({}), {})
  t.same(slotLimits.parse(least), least)
  for (const [name, value] of Object.entries(least)) {
    const { error } = slotLimits.safeParse({ [name]: value - 1 })
    t.match(error?.issues[0], { path: [name], message: `expected at least ${value}` })
    for (const wrong of [0, -1, 1.5 + value, Number.NaN, Number.POSITIVE_INFINITY, String(value), null, true, 2 ** 60]) {
      t.notOk(slotLimits.safeParse({ [name]: wrong }).success, `${name}: ${wrong}`)
    }
  }
  t.notOk(slotLimits.safeParse({ cpuWeight: 10_001 }).success)
  t.notOk(slotLimits.safeParse({ memory: 2 ** 30 }).success, 'an unknown name is refused')
})

import { rmSync, statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { giveSignsOfLife, signOfLifeMs } from '../../lib/sandbox/sign-of-life.ts'
import { MovedClock } from '../fixtures/moved-clock.ts'

t.test('a file says when the process last lived, for as long as its folder is there', async (t) => {
  const folder = t.testdir({ there: {} })
  const path = join(folder, 'there', 'alive')
  const clock = new MovedClock()
  giveSignsOfLife(path, clock)
  for (let round = 0; round < 2; round++) {
    utimesSync(path, 1, 1)
    clock.move(signOfLifeMs - 1)
    t.equal(statSync(path).mtimeMs, 1_000)
    clock.move(1)
    t.ok(statSync(path).mtimeMs > 1_000)
  }
  rmSync(join(folder, 'there'), { recursive: true })
  clock.move(signOfLifeMs)
  t.notOk(statSync(path, { throwIfNoEntry: false }))
})

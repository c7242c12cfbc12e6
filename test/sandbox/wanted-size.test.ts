import t from 'tap'
import { WantedSize } from '../../lib/sandbox/wanted-size.ts'
import { MovedClock } from '../fixtures/moved-clock.ts'

t.test('the largest that somebody said within a minute', async (t) => {
  const clock = new MovedClock()
  const wanted = new WantedSize(clock)
  t.equal(wanted.containers, 0)
  wanted.note(3)
  wanted.note(1)
  wanted.note(0)
  clock.move(30_000)
  wanted.note(1)
  t.equal(wanted.containers, 3)
  clock.move(30_000)
  t.equal(wanted.containers, 1)
  clock.move(30_000)
  t.equal(wanted.containers, 0)
})

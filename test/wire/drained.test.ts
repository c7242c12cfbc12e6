import { Writable } from 'node:stream'
import t from 'tap'
import { drained } from '../../lib/wire/drained.ts'

function full(): { stream: Writable; takeIn: () => void } {
  const taken: (() => void)[] = []
  const stream = new Writable({ highWaterMark: 1, write: (_chunk, _encoding, done) => void taken.push(done) })
  return { stream, takeIn: () => taken.shift()?.() }
}

t.test('a stream that was full is waited for any number of times, and no listener is left', async (t) => {
  const { stream, takeIn } = full()
  for (let i = 0; i < 50; i++) {
    t.notOk(stream.write('more'))
    const waiting = drained(stream)
    takeIn()
    await waiting
  }
  t.equal(stream.listenerCount('drain') + stream.listenerCount('close'), 0)
})

t.test('one that is closed is not waited for', async (t) => {
  const { stream } = full()
  stream.write('more')
  const waiting = drained(stream)
  stream.destroy()
  await waiting
  await drained(stream)
  t.equal(stream.listenerCount('drain') + stream.listenerCount('close'), 0)
})

import { getEventListeners } from 'node:events'
import t from 'tap'
import { LinkedAbortController } from '../../lib/client/linked-abort-controller.ts'

t.test('is aborted with the first of its signals, for the reason of that', async (t) => {
  const [first, second] = [new AbortController(), new AbortController()]
  using either = new LinkedAbortController(first.signal, second.signal)
  t.equal(either.signal.aborted, false)
  second.abort('enough')
  t.match(either.signal, { aborted: true, reason: 'enough' })
  first.abort('later')
  t.equal(either.signal.reason, 'enough')
})

t.test('by itself, without them', async (t) => {
  const { signal } = new AbortController()
  using own = new LinkedAbortController(signal)
  own.abort()
  t.same([own.signal.aborted, signal.aborted], [true, false])
})

t.test('with one that has been aborted before', async (t) => {
  const { signal } = new AbortController()
  using late = new LinkedAbortController(signal, AbortSignal.abort('long ago'))
  t.match(late.signal, { aborted: true, reason: 'long ago' })
  t.same(getEventListeners(signal, 'abort'), [])
})

t.test('leaves nothing with them, and hears no more of them', async (t) => {
  const lasting = new AbortController()
  const either = new LinkedAbortController(lasting.signal)
  t.equal(getEventListeners(lasting.signal, 'abort').length, 1)
  either[Symbol.dispose]()
  t.same(getEventListeners(lasting.signal, 'abort'), [])
  lasting.abort()
  t.equal(either.signal.aborted, false)
})

import t, { type Test } from 'tap'
import type { Container } from '../../lib/backend/backend.ts'
import { EngineWatch } from '../../lib/backend/engine-watch.ts'
import { SlotpoolError } from '../../lib/errors.ts'

// A watch keeps no process alive.
const awake = setInterval(() => {}, 60_000)
t.teardown(() => clearInterval(awake))

const container = (id: string, state: Container['state']): Container => ({
  ...{ id, index: 0, node: 'n', state },
  ...(state === 'dead' ? {} : { endpoint: { url: 'http://127.0.0.1:1' } }),
})

/** An engine that lists one thing after the other, the last one from then on. */
function engine(t: Test, lists: (Container[] | Error)[], lagMs: number) {
  let follows = 0
  let looks = 0
  let event = () => {}
  let lose = (_error: unknown) => {}
  const watch = new EngineWatch({
    follow: (onEvent, signal) =>
      new Promise((resolve, reject) => {
        follows++
        event = onEvent
        lose = reject
        signal.addEventListener('abort', () => resolve())
        onEvent()
      }),
    list: async () => {
      const listed = lists[Math.min(looks++, lists.length - 1)] ?? []
      if (listed instanceof Error) throw listed
      return listed
    },
    lagMs,
  })
  t.teardown(() => watch.close())
  return {
    watch,
    event: () => event(),
    lose: (error: unknown) => lose(error),
    get follows() {
      return follows
    },
    get looks() {
      return looks
    },
  }
}

const until = async (so: () => boolean) => {
  while (!so()) await new Promise((resolve) => setTimeout(resolve, 1))
}

t.test('a list that lags behind its events is looked at again', async (t) => {
  const old = [container('a', 'ready')]
  const now = [container('a', 'dead')]
  const under = engine(t, [old, old, old, now], 60_000)
  const abort = new AbortController()
  const seen: number[] = []
  const watching = under.watch.join(() => seen.push(under.looks), abort.signal)
  await until(() => seen.some((looks) => looks >= 4))
  abort.abort()
  await watching
  t.equal(seen.length, 3, 'when it began, at its first look, and when there was news')
})

t.test('what changed for a moment only, which somebody saw and the watch did not, is made up for', async (t) => {
  const [ready, dead] = [[container('a', 'ready')], [container('a', 'dead')]]
  const under = engine(t, [ready, dead, ready], 60_000)
  const abort = new AbortController()
  const seen: (readonly Container[])[] = []
  let calls = 0
  const watching = under.watch.join(() => calls++, abort.signal)
  await until(() => calls === 2)
  seen.push(await under.watch.list())
  await until(() => calls === 3)
  seen.push(await under.watch.list())
  t.same(seen, [dead, ready])
  abort.abort()
  await watching
})

t.test('one that does not lag is looked at once for an event', async (t) => {
  const under = engine(t, [[container('a', 'ready')]], 0)
  let calls = 0
  const abort = new AbortController()
  const watching = under.watch.join(() => calls++, abort.signal)
  await until(() => under.looks === 1 && calls === 2)
  under.event()
  await until(() => under.looks === 2)
  t.equal(calls, 3, 'what was seen before is not told again')
  abort.abort()
  await watching
})

t.test('a server that begins to answer is told, also after lists that failed', async (t) => {
  const starting = [container('a', 'starting')]
  const under = engine(t, [new SlotpoolError('DOCKER_UNAVAILABLE', 'busy'), starting, starting, [container('a', 'ready')]], 0)
  const abort = new AbortController()
  const seen: number[] = []
  const watching = under.watch.join(() => seen.push(under.looks), abort.signal)
  await until(() => seen.includes(4))
  abort.abort()
  await watching
  t.equal(under.looks, 4)
})

t.test('a failure that will not pass ends it for all, and who comes then begins anew', async (t) => {
  const under = engine(t, [[container('a', 'starting')]], 0)
  const { signal } = new AbortController()
  const both = [under.watch.join(() => {}, signal), under.watch.join(() => {}, signal)]
  const error = new SlotpoolError('NOMAD_FORBIDDEN', 'no')
  under.lose(error)
  for (const one of both) await t.rejects(one, error)
  const again = under.watch.join(() => {}, signal)
  t.equal(under.follows, 2)
  under.watch.close()
  await again
})

import t from 'tap'
import { SlotpoolError } from '../lib/errors.ts'
import { pauseAfterLoss, reconnecting } from '../lib/reconnect.ts'

// A pause keeps no process alive.
const awake = setInterval(() => {}, 60_000)
t.teardown(() => clearInterval(awake))

const lost = new SlotpoolError('NOMAD_UNAVAILABLE', 'lost')

t.test('a connection is made again until it is no longer wanted, whether it ended or failed', async (t) => {
  const abort = new AbortController()
  let made = 0
  await reconnecting(
    async (stands) => {
      made++
      stands()
      if (made === 5) abort.abort()
      if (made % 2 === 0) throw lost
    },
    abort.signal,
    { firstPauseMs: 1 },
  )
  t.equal(made, 5)
})

t.test('what will not pass is thrown', async (t) => {
  const { signal } = new AbortController()
  for (const error of [new SlotpoolError('NOMAD_FORBIDDEN', 'no'), new TypeError('a mistake')]) {
    await t.rejects(
      reconnecting(async () => {
        throw error
      }, signal),
      error,
    )
  }
})

t.test('after an abort a failure is the end, and nothing is begun', async (t) => {
  const abort = new AbortController()
  await reconnecting(async () => {
    abort.abort()
    throw new TypeError('what the abort broke')
  }, abort.signal)
  await reconnecting(async () => void t.fail('begun'), abort.signal)
})

t.test('an abort ends a pause', async (t) => {
  const abort = new AbortController()
  let made = 0
  await reconnecting(
    async () => {
      made++
      setImmediate(() => abort.abort())
      throw lost
    },
    abort.signal,
    { firstPauseMs: 3_600_000 },
  )
  t.equal(made, 1)
})

t.test('the pauses double up to ten seconds, shortened by up to half', async (t) => {
  const pauses = (chance: number) => [0, 1, 2, 6, 7, 1000].map((losses) => pauseAfterLoss(losses, 100, chance))
  t.same(pauses(1), [100, 200, 400, 6400, 10_000, 10_000])
  t.same(pauses(0), [50, 100, 200, 3200, 5000, 5000])
})

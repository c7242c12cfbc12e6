import { getEventListeners } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { SlotpoolError } from '../../lib/errors.ts'
import { askBriefly } from '../../lib/pool/silent-container.ts'
import { systemClock } from '../../lib/sandbox/clock.ts'
import { MovedClock } from '../fixtures/moved-clock.ts'

/** Says nothing until it is given up. */
const silence = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    const end = () => reject(new SlotpoolError('CANCELLED', 'given up', { cause: signal.reason }))
    if (signal.aborted) end()
    signal.addEventListener('abort', end)
  })

t.test('one that says nothing is silent; who gives up is not told that', async (t) => {
  const clock = new MovedClock()
  const { signal } = new AbortController()
  const asked = askBriefly(silence, signal, clock)
  clock.move(3_000)
  await t.rejects(asked, { code: 'SERVER_UNREACHABLE', message: 'its sandbox server did not answer within 3 s' })
  const abort = new AbortController()
  const given = askBriefly(silence, abort.signal, clock)
  abort.abort('enough')
  await t.rejects(given, { code: 'CANCELLED', cause: 'enough' })
  await t.rejects(askBriefly(silence, AbortSignal.abort('before'), clock), { code: 'CANCELLED', cause: 'before' })
  t.same(getEventListeners(signal, 'abort'), [])
})

t.test('what was asked leaves nothing with a signal that lasts', async (t) => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const { signal } = new AbortController()
  const ask = async (times: number): Promise<number> => {
    for (let at = 0; at < times; at++) {
      await askBriefly(() => Promise.resolve(), signal, systemClock)
      if (at % 1_000 === 0) await setImmediate()
    }
    collect()
    await setImmediate()
    collect()
    return process.memoryUsage().heapUsed
  }
  const before = await ask(5_000)
  const times = 50_000
  const bytesEach = ((await ask(times)) - before) / times
  t.ok(bytesEach < 20, `${bytesEach} bytes each`)
})

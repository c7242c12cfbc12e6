import { getEventListeners } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { FakeBackend } from '../../lib/backend/fake/fake-backend.ts'
import { SlotpoolError } from '../../lib/errors.ts'
import { askBriefly } from '../../lib/pool/silent-container.ts'
import { SlotPool } from '../../lib/pool/slot-pool.ts'
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

t.test('a manager that has just come does not take the only one with leases, silent for a moment, for one that starts', async (t) => {
  const backend = new FakeBackend({ slots: 2 })
  t.teardown(() => backend.destroy())
  const first = await SlotPool.open({ backend, slots: 2, max: 3 })
  t.teardown(() => first.close())
  const slot = await first.lease('a')
  backend.pause(slot.containerId)
  // Made beside it, and taken in by nobody.
  await backend.grow(2)
  const second = await SlotPool.open({ backend, slots: 2, max: 3 })
  t.teardown(() => second.close())
  const leasing = second.lease('a')
  let asked = 0
  const { list } = backend
  backend.list = () => {
    asked++
    return list.call(backend)
  }
  while (asked < 3) await setImmediate()
  backend.resume(slot.containerId)
  t.equal((await leasing).leaseId, slot.leaseId)
  t.equal(backend.usage().leased, 1)
})

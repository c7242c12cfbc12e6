import t from 'tap'
import { SlotpoolError } from '../../lib/errors.ts'
import { growAsFar } from '../../lib/pool/grow-as-far.ts'
import { Growth } from '../../lib/pool/growth.ts'
import { MovedClock } from '../fixtures/moved-clock.ts'

t.test('after a failure it rests, the longer the more fail in a row', async (t) => {
  const clock = new MovedClock()
  const ends: (string | undefined)[] = []
  let fails = true
  const growth = new Growth({
    grow: async () => {
      if (fails) throw new SlotpoolError('NOMAD_PLACEMENT_FAILED', 'no memory')
    },
    clock,
    onEnd: (failure) => ends.push(failure?.code),
  })
  t.equal(growth.rests, false)
  let restedMs = 0
  for (const pauseMs of [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]) {
    await t.rejects(
      growth.begin(() => 2),
      { code: 'NOMAD_PLACEMENT_FAILED' },
    )
    t.match(growth.failure, { code: 'NOMAD_PLACEMENT_FAILED' })
    clock.move(pauseMs - 1)
    t.equal(growth.rests, true, `${pauseMs} ms`)
    clock.move(1)
    t.equal(growth.rests, false)
    restedMs += pauseMs
  }
  t.equal(restedMs, 183_000)
  fails = false
  await growth.begin(() => 2)
  t.equal(growth.failure, undefined)
  fails = true
  await t.rejects(growth.begin(() => 2))
  clock.move(1_000)
  t.equal(growth.rests, false, 'one that ended well begins anew')
  t.same(ends.slice(-3), ['NOMAD_PLACEMENT_FAILED', undefined, 'NOMAD_PLACEMENT_FAILED'])
})

t.test('one that was given up is no failure', async (t) => {
  const growth = new Growth({
    grow: (_count, signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('given up')))),
    clock: new MovedClock(),
    onEnd: () => t.fail('it did not end by itself'),
  })
  const growing = growth.begin(() => 2)
  await growth.stop()
  await t.rejects(growing)
  t.equal(growth.rests, false)
})

t.test('where there is room for fewer, the pool is made so large, and who waits is told', async (t) => {
  const grown = async (live: number, room: number, count: number, waiting: number, more: object = {}) => {
    const asked: number[] = []
    const grow = async (to: number): Promise<void> => {
      asked.push(to)
      if (to > room)
        throw new SlotpoolError('NOMAD_PLACEMENT_FAILED', 'no memory', { details: { live, placeable: room, wanted: to, ...more } })
    }
    const end = await growAsFar({ grow, waiting: () => waiting }, count).then(
      () => 'grown',
      (error) => `${error.code} ${error.details.wanted}`,
    )
    return [asked, end]
  }
  t.same(await grown(2, 9, 5, 9), [[5], 'grown'])
  t.same(await grown(2, 4, 5, 9), [[5, 4], 'NOMAD_PLACEMENT_FAILED 5'])
  t.same(await grown(2, 4, 5, 0), [[5, 4], 'NOMAD_PLACEMENT_FAILED 5'], 'containers that are missing are made as far as may be')
  t.same(await grown(2, 2, 5, 9), [[5], 'NOMAD_PLACEMENT_FAILED 5'], 'no room at all')
  t.same(await grown(0, 2, 5, 9), [[5, 2], 'grown'], 'who waits and can be served is told of no error')
  t.same(await grown(0, 2, 5, 0), [[5], 'NOMAD_PLACEMENT_FAILED 5'], 'a pool that is opened is there as a whole or not at all')
  t.same(await grown(2, 4, 5, 9, { placeable: undefined }), [[5], 'NOMAD_PLACEMENT_FAILED 5'])
})

import fc from 'fast-check'
import t from 'tap'
import { type ContainerState, type PoolNeeds, planScale, roomFor } from '../../lib/pool/scale-plan.ts'
import type { ServerLoad } from '../../lib/wire/load.ts'

const needs: PoolNeeds = {
  min: 0,
  max: 10,
  waiting: 0,
  active: true,
  giveUpSilentMs: 300_000,
  stuck: false,
  highestOnly: false,
}
const nothing = { serve: [], drain: [], retire: [], remove: [], grow: undefined }

function load(more: Partial<ServerLoad> = {}): ServerLoad {
  const leased = more.leased ?? 0
  return {
    bootId: 'b',
    state: 'serving',
    slots: 10,
    leased,
    idle: 10 - leased,
    outOfService: 0,
    mostLeased: leased,
    longestTtlMs: 0,
    keep: 0,
    ...more,
  }
}

/** Containers c0, c1 … with these loads; undefined is one that is silent. */
function pool(...loads: (Partial<ServerLoad> | undefined)[]): ContainerState[] {
  return loads.map((one, index) => ({ id: `c${index}`, index, load: one && load(one), silentForMs: one ? 0 : 1_000 }))
}

t.test('what the most leases of late had needed stays, however few there are now', async (t) => {
  t.same(planScale(pool({ mostLeased: 10 }, { mostLeased: 10 }, { mostLeased: 1 }), needs), nothing)
  t.same(planScale(pool({ mostLeased: 4 }, { mostLeased: 4 }, { mostLeased: 2 }), needs), { ...nothing, retire: ['c2', 'c1'] })
  t.same(planScale(pool({}, {}, {}), { ...needs, min: 2 }), { ...nothing, retire: ['c2'] }, 'and never fewer than the least')
})

t.test('the highest goes first: it is drained while it has leases, and those below it do not go before it', async (t) => {
  t.same(planScale(pool({ leased: 1 }, {}, { leased: 2 }), needs), { ...nothing, drain: ['c2', 'c1'] })
  t.same(planScale(pool({ leased: 1 }, {}, { state: 'draining' }), needs), { ...nothing, retire: ['c2', 'c1'] })
  t.same(planScale(pool({ leased: 1 }, {}, { state: 'retired' }), needs), { ...nothing, retire: ['c1'], remove: ['c2'] })
})

t.test('while somebody waits nothing is sent away, and what was drained serves again', async (t) => {
  t.same(planScale(pool({ leased: 10 }, { state: 'draining', leased: 1 }, {}), { ...needs, waiting: 1 }), { ...nothing, serve: ['c1'] })
})

t.test('of one that is silent nothing is known, so that nothing goes for want of need; after long enough it is given up', async (t) => {
  t.same(planScale(pool({}, undefined, {}), needs), nothing)
  const [silent] = pool(undefined)
  t.same(planScale([{ ...(silent as ContainerState), silentForMs: 300_000 }], needs), { ...nothing, remove: ['c0'] })
})

t.test('one with slots out of service is replaced when its leases have ended, one at a time', async (t) => {
  const worn = { outOfService: 1, leased: 5, mostLeased: 10 }
  const busy = { leased: 10, mostLeased: 10 }
  t.same(planScale(pool(worn, { ...worn, outOfService: 2 }, busy), needs), { ...nothing, drain: ['c1'] }, 'the worst first')
  t.same(
    planScale(pool({ ...worn, state: 'draining' }, { ...worn, outOfService: 2 }, busy), needs),
    { ...nothing, drain: ['c0'] },
    'what was begun',
  )
  t.same(planScale(pool({ ...worn, leased: 0 }, busy), needs), { ...nothing, retire: ['c0'] })
  t.same(planScale(pool({ ...worn, leased: 0 }, busy), { ...needs, waiting: 3 }), { ...nothing, retire: ['c0'] }, 'whoever waits')
  t.same(planScale(pool(worn), needs), nothing, 'one that is all there is goes on')
  t.same(planScale(pool({ ...worn, outOfService: 5 }), needs), { ...nothing, drain: ['c0'] }, 'until that is not much')
})

t.test('those that nobody uses are replaced one at a time too, and not before there is something to be used instead', async (t) => {
  const worn = { outOfService: 1, leased: 0, mostLeased: 10 }
  const two = { ...needs, min: 2 }
  t.same(planScale(pool(worn, worn), two), nothing, 'they are all there is')
  t.same(planScale(pool(worn), { ...needs, min: 1 }), nothing)
  t.same(
    planScale(pool(worn, { ...worn, outOfService: 5 }), two),
    { ...nothing, retire: ['c1'], grow: 2 },
    'what goes is made anew at once',
  )
  t.same(planScale(pool({ ...worn, outOfService: 6 }, { ...worn, outOfService: 5 }), two), { ...nothing, retire: ['c0'], grow: 2 })
  t.same(planScale(pool({ ...worn, outOfService: 6 }, worn), { ...two, active: false }), nothing, 'by who would not make another')
  const spent = { ...worn, outOfService: 10 }
  t.same(
    planScale(pool(spent, spent), two),
    { ...nothing, retire: ['c0', 'c1'], grow: 2 },
    'one that has no slot to give is missed by nobody',
  )
  t.same(planScale(pool(spent, spent), { ...two, active: false }), { ...nothing, retire: ['c0', 'c1'] })
})

t.test('who has something to do with the pool makes it have its least', async (t) => {
  t.equal(planScale(pool({}), { ...needs, min: 3 }).grow, 3)
  t.equal(planScale(pool({}), { ...needs, min: 3, active: false }).grow, undefined)
})

const someLoad = fc.option(
  fc.record({
    state: fc.constantFrom('serving' as const, 'draining' as const, 'retired' as const),
    leased: fc.integer({ min: 0, max: 10 }),
    mostLeased: fc.integer({ min: 0, max: 10 }),
    outOfService: fc.integer({ min: 0, max: 3 }),
  }),
  { nil: undefined },
)

t.test('whatever there is', async () => {
  fc.assert(
    fc.property(fc.array(someLoad, { maxLength: 8 }), fc.nat(4), fc.nat(2), (loads, min, waiting) => {
      const states = pool(...loads)
      const plan = planScale(states, { ...needs, min, waiting })
      const of = (id: string) => states.find((one) => one.id === id)?.load
      // Nothing with a lease, and nothing that is silent, is sent away for good.
      if ([...plan.retire, ...plan.remove].some((id) => (of(id)?.leased ?? 0) > 0 && of(id)?.state !== 'retired')) return false
      if ([...plan.retire, ...plan.drain, ...plan.serve].some((id) => of(id) === undefined)) return false
      // Nothing is told two things.
      if (plan.retire.some((id) => plan.remove.includes(id)) || plan.serve.some((id) => plan.drain.includes(id))) return false
      // What is not worn does not go below the least, and of what is worn, and still good for something, one goes at a time.
      const worn = states.filter((one) => (one.load?.outOfService ?? 0) > 0).map((one) => one.id)
      const going = plan.retire.filter((id) => !worn.includes(id))
      const left = states.length - plan.remove.length - plan.retire.length
      if (left < min && plan.grow === undefined) return false
      return going.length === 0 || states.length - plan.remove.length - going.length >= min
    }),
    { numRuns: 2_000 },
  )
})

t.test('a pool grows for those who wait in one step, and not for each process by a container of its own', async (t) => {
  const crowd = { live: 3, starting: 0, untaken: 0, waiting: 1, slots: 10, min: 1, max: 100 }
  t.equal(roomFor(crowd), 4)
  t.equal(roomFor({ ...crowd, waiting: 0 }), 4, 'for whoever is about to wait')
  t.equal(roomFor({ ...crowd, waiting: 95 }), 13)
  t.equal(roomFor({ ...crowd, waiting: 95, max: 8 }), 8)
  t.equal(roomFor({ ...crowd, min: 6 }), 6)
  t.equal(roomFor({ ...crowd, starting: 1 }), 3, 'what is starting will do')
  t.equal(roomFor({ ...crowd, starting: 1, waiting: 5 }), 3)
  t.equal(roomFor({ ...crowd, starting: 1, waiting: 6 }), 4)
  t.equal(roomFor({ ...crowd, starting: 3, waiting: 95 }), 11, 'half of it may be for others')
  t.equal(roomFor({ ...crowd, untaken: 1, waiting: 10 }), 3, 'what cannot be taken in will do, and nothing else could be taken in')
  t.equal(roomFor({ ...crowd, untaken: 1, waiting: 11 }), 4)
})

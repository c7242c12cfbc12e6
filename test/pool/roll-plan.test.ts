import fc from 'fast-check'
import t from 'tap'
import { type ContainerState, type PoolNeeds, planScale } from '../../lib/pool/scale-plan.ts'
import type { ServerLoad } from '../../lib/wire/load.ts'

const needs: PoolNeeds = {
  ...{ min: 1, max: 3, waiting: 0, active: true, giveUpSilentMs: 300_000, stuck: false, highestOnly: false },
}
const nothing = { serve: [], drain: [], retire: [], remove: [], grow: undefined }

function load(more: Partial<ServerLoad> = {}): ServerLoad {
  const leased = more.leased ?? 0
  return {
    bootId: 'b',
    state: 'serving',
    slots: 2,
    leased,
    idle: 2 - leased,
    outOfService: 0,
    mostLeased: leased,
    longestTtlMs: 0,
    keep: 0,
    ...more,
  }
}

type Given = [generation: number, load?: Partial<ServerLoad>]

/** Containers c0, c1 … of these versions; without a load it is silent. */
function pool(...given: Given[]): ContainerState[] {
  return given.map(([generation, one], index) => ({
    ...{ id: `c${index}`, index, load: one && load(one), silentForMs: one ? 0 : 1_000 },
    version: { id: `0000000${generation}`, generation, image: null },
  }))
}

t.test('one of an earlier version goes when another can take its place, and not before', async (t) => {
  t.same(planScale(pool([0, {}], [1, {}]), needs), { ...nothing, drain: ['c0'], retire: ['c0'] })
  t.same(planScale(pool([0, { leased: 1 }], [1, {}]), needs), { ...nothing, drain: ['c0'] }, 'its leases end where they are')
  t.same(planScale(pool([0, {}], [1]), needs), nothing, 'the new one is silent, and the old one serves on')
  t.same(planScale(pool([0, {}], [0, {}], [1, { state: 'draining' }]), needs).drain, [], 'nor while the new one gives no leases')
  t.same(planScale(pool([0, {}], [1, {}]), { ...needs, min: 2 }), { ...nothing, grow: 3 })
  const two = { ...needs, min: 2 }
  const both = { ...nothing, drain: ['c1'], retire: ['c1'], grow: 3 }
  t.same(planScale(pool([0, { leased: 1 }], [0, {}], [1, {}]), two), both, 'one for that which stays, and none for that which goes')
  t.same(planScale(pool([0, { mostLeased: 2 }], [0, { mostLeased: 2 }], [1, {}]), needs).drain, ['c1'], 'as many stay as were needed')
})

t.test('a pool that is as large as it may be gets one more, and no second', async (t) => {
  const busy = { leased: 2 }
  t.same(planScale(pool([0, busy], [0, busy], [0, busy], [1, {}]), { ...needs, waiting: 1 }), { ...nothing, drain: ['c2'] })
  const draining = { ...busy, state: 'draining' as const }
  t.same(planScale(pool([0, busy], [0, busy], [0, draining], [1, busy]), { ...needs, waiting: 1 }), { ...nothing, drain: ['c2'] })
  t.same(planScale(pool([0, busy], [0, busy], [1, busy]), { ...needs, waiting: 1 }).grow, 4)
})

t.test('who waits comes before the change where there is no other room', async (t) => {
  const draining = { leased: 1, state: 'draining' as const }
  const full = { leased: 2 }
  t.same(planScale(pool([0, draining], [0, draining], [0, draining], [1, full]), { ...needs, waiting: 1 }).serve, ['c0', 'c1'])
  t.same(planScale(pool([0, draining], [1, full]), { ...needs, waiting: 1 }).serve, [], 'there may be another container')
  t.same(planScale(pool([0, draining], [1, full]), { ...needs, waiting: 1, stuck: true }).serve, ['c0'], 'but not now')
})

t.test('what has no slot to give any more takes nobody’s place, and is replaced in the middle of a change, too', async (t) => {
  const spent = { outOfService: 2 }
  t.same(
    planScale(pool([0, { leased: 1 }], [1, spent]), { ...needs, waiting: 3 }),
    { ...nothing, grow: 3 },
    'not gone before another of its version is there',
  )
  t.same(planScale(pool([0, { leased: 1 }], [1, spent]), { ...needs, max: 1 }).grow, 3, 'nor does it count')
  const draining = { leased: 1, state: 'draining' as const }
  t.same(planScale(pool([0, draining], [1, spent]), { ...needs, max: 1, waiting: 3 }), { ...nothing, serve: ['c0'], grow: 3 })
  t.same(planScale(pool([0, draining], [1, spent], [1, {}]), { ...needs, max: 1 }), { ...nothing, drain: ['c0'], retire: ['c1'] })
  t.same(planScale(pool([0, {}], [1, { outOfService: 1, leased: 1 }], [1, {}]), needs).drain, ['c0', 'c1'])
})

t.test('where only the highest can go, those below it wait for it', async (t) => {
  const draining = { state: 'draining' as const }
  const states = pool([0, draining], [0, { ...draining, leased: 1 }], [1, {}], [1, {}])
  t.same(planScale(states, needs).retire, ['c0'])
  t.same(planScale(states, { ...needs, highestOnly: true }).retire, [])
  const other = pool([1, draining], [0, { ...draining, leased: 1 }], [2, {}], [2, {}])
  t.same(planScale(other, { ...needs, highestOnly: true }).retire, ['c0'], 'of the same version')
})

/** A pool in which time passes: leases come and end, managers look and die half-way. */
interface World {
  containers: (ContainerState & { load: ServerLoad })[]
  waiting: number
  nextIndex: number
}

const stepOf = fc.oneof(
  fc.record({ do: fc.constant('look' as const), dies: fc.integer({ min: 0, max: 6 }), stuck: fc.boolean() }),
  fc.record({ do: fc.constant('lease' as const), at: fc.nat(9) }),
  fc.record({ do: fc.constant('release' as const), at: fc.nat(9) }),
  fc.record({ do: fc.constant('forget' as const), at: fc.nat(9) }),
)
type Step = typeof stepOf extends fc.Arbitrary<infer T> ? T : never

function add(world: World, generation: number, leased = 0): void {
  const version = { id: `0000000${generation}`, generation, image: null }
  const index = world.nextIndex++
  world.containers.push({ id: `c${index}`, index, load: load({ leased }), silentForMs: 0, version })
}

/** Carries out what a manager decides, up to so many things; then it dies. @throws what must not happen. */
function look(world: World, given: Partial<PoolNeeds>, dies: number): void {
  const own = { ...needs, ...given, waiting: world.waiting }
  const plan = planScale(world.containers, own)
  let left = dies
  const each = (ids: readonly string[], work: (one: World['containers'][number]) => void): void => {
    for (const id of ids) {
      const one = world.containers.find((container) => container.id === id)
      if (one && left-- > 0) work(one)
    }
  }
  const live = world.containers.length
  if (plan.grow !== undefined && (plan.grow > live + 1 || plan.grow > own.max + 1)) throw new Error(`grows from ${live} to ${plan.grow}`)
  each(plan.serve, (one) => {
    one.load.state = 'serving'
  })
  each(plan.drain, (one) => {
    one.load.state = 'draining'
  })
  if (plan.drain.length > 0 && !world.containers.some((one) => one.load.state === 'serving')) throw new Error('nobody gives leases')
  each(plan.retire, (one) => {
    if (one.load.leased > 0) throw new Error(`${one.id} has a lease`)
    if (own.highestOnly) {
      const above = world.containers.find(({ version, index }) => version?.generation === one.version?.generation && index > one.index)
      if (above) throw new Error(`${one.id} goes before ${above.id}`)
    }
    world.containers.splice(world.containers.indexOf(one), 1)
  })
  if (plan.grow !== undefined && !own.stuck && left-- > 0)
    add(world, Math.max(...world.containers.map((one) => one.version?.generation ?? 0)))
}

function step(world: World, one: Step, highestOnly: boolean): void {
  const at = 'at' in one ? world.containers[one.at % world.containers.length] : undefined
  if (one.do === 'look') look(world, { stuck: one.stuck, highestOnly }, one.dies)
  else if (one.do === 'lease') {
    const room = world.containers.find(({ load }) => load.state === 'serving' && load.leased < load.slots)
    if (room) room.load.mostLeased = Math.max(room.load.mostLeased, ++room.load.leased)
    else world.waiting = Math.min(world.waiting + 1, 3)
  } else if (!at) return
  else if (one.do === 'release') {
    at.load.leased = Math.max(0, at.load.leased - 1)
    world.waiting = Math.max(0, world.waiting - 1)
  } else if (at.load.state === 'draining') at.load.state = 'serving'
}

t.test('whatever happens meanwhile, the change comes to its end, and takes no lease with it', async () => {
  const first = fc.array(fc.nat(2), { minLength: 1, maxLength: 3 })
  fc.assert(
    fc.property(first, fc.array(stepOf, { maxLength: 60 }), fc.boolean(), (leases, steps, highestOnly) => {
      const world: World = { containers: [], waiting: 0, nextIndex: 0 }
      for (const leased of leases) add(world, 0, leased)
      add(world, 1)
      for (const one of steps) {
        step(world, one, highestOnly)
        if (world.containers.length > needs.max + 1) return false
      }
      // In the end nobody waits any more, leases end, and one manager looks.
      world.waiting = 0
      for (let rounds = 0; rounds < 40; rounds++) {
        look(world, { highestOnly }, 100)
        const leased = world.containers.find((one) => one.load.leased > 0)
        if (leased) leased.load.leased--
        for (const { load } of world.containers) load.mostLeased = load.leased
      }
      return world.containers.length > 0 && world.containers.every((one) => one.version?.generation === 1)
    }),
    { numRuns: 1_000 },
  )
})

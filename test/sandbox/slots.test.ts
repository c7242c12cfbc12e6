import { availableParallelism } from 'node:os'
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { SlotpoolError } from '../../lib/errors.ts'
import type { Jail, JailKind } from '../../lib/sandbox/jail/jail.ts'
import type { ControlGroups } from '../../lib/sandbox/limits/control-groups.ts'
import { Slots, type SlotsOptions } from '../../lib/sandbox/slots.ts'
import { MovedClock } from '../fixtures/moved-clock.ts'

/** Jails that the test ends, and that fail as often as it says. */
class WatchedJails implements JailKind {
  readonly level = 'uid'
  readonly network = 'host'
  readonly root = 'shared'
  readonly user = 'agent'
  /** The slot numbers that have a jail right now, or one that is being ended. */
  readonly living: number[] = []
  readonly made: { number: number; root: string; die: () => void }[] = []
  readonly wiped: string[] = []
  failures = 0
  /** Numbers that never can be made. */
  readonly broken = new Set<number>()
  /** What each jail waits for while it is made. */
  holdMaking: Promise<void> = Promise.resolve()
  /** Jails begun, those included that are not made yet. */
  begun = 0
  /** What an ending jail waits for. */
  hold: Promise<void> = Promise.resolve()
  /** What a wipe waits for. */
  holdWiping: Promise<void> = Promise.resolve()
  wipeFailure: Error | undefined
  /** What the health check of a slot finds. */
  readonly faults = new Map<number, string>()
  /** A jail ends as soon as it is made. */
  dieAtOnce = false

  async make(slot: number, root: string): Promise<Jail> {
    this.begun++
    await this.holdMaking
    if (this.failures > 0 || this.broken.has(slot)) {
      this.failures--
      throw new SlotpoolError('JAIL_FAILED', 'as the test wants it')
    }
    if (this.living.includes(slot)) throw new Error(`slot ${slot} has a jail already`)
    this.living.push(slot)
    let over = (): void => {}
    const ended = new Promise<void>((resolve) => {
      let once = true
      over = () => {
        if (once && this.living.includes(slot)) this.living.splice(this.living.indexOf(slot), 1)
        once = false
        resolve()
      }
    })
    this.made.push({ number: slot, root, die: over })
    const { hold } = this
    const end = async () => {
      await this.hold.then(() => hold)
      over()
    }
    const view = { workspace: '/', home: '/', tmp: '/' }
    const { level, network, root: kind, user } = this
    if (this.dieAtOnce) over()
    const fault = () => this.faults.get(slot) ?? null
    return { level, network, root: kind, user, view, enter: () => ({ file: '', args: [] }), processes: async () => [], fault, ended, end }
  }

  async wipe(root: string): Promise<void> {
    await this.holdWiping
    if (this.wipeFailure) throw this.wipeFailure
    this.wiped.push(root)
  }
}

async function started(t: Test, count: number, kind = new WatchedJails(), options: Partial<SlotsOptions> = {}) {
  const clock = new MovedClock()
  const slots = new Slots({ count, kind, folder: '/slots', log: pino({ enabled: false }), clock, ...options })
  await slots.start()
  t.teardown(() => slots.close())
  return { slots, kind, clock }
}

t.test('all are made ahead, and wiped at the end', async (t) => {
  const kind = new WatchedJails()
  const slots = new Slots({ count: 3, kind, folder: '/slots', log: pino({ enabled: false }) })
  await slots.start()
  t.same(
    kind.made.map((one) => one.number),
    [0, 1, 2],
  )
  t.equal(slots.idle, 3)
  await slots.close()
  t.same(kind.wiped.sort(), kind.made.map((one) => one.root).sort())
  t.same(kind.living, [])
})

t.test('the first is made before the others, and had while they are made; what is not begun at the end is not made', async (t) => {
  const kind = new WatchedJails()
  let letGo = (): void => {}
  const held = (): Promise<void> =>
    new Promise((resolve) => {
      letGo = resolve
    })
  kind.holdMaking = held()
  const count = availableParallelism() + 5
  const slots = new Slots({ count, kind, folder: '/slots', log: pino({ enabled: false }) })
  const filled = slots.start()
  const taking = slots.take()
  await turnOfTheLoop()
  t.equal(kind.begun, 1)
  const letFirstGo = letGo
  kind.holdMaking = held()
  letFirstGo()
  const first = await taking
  await turnOfTheLoop()
  t.equal(first.number, 0)
  t.equal(slots.idle, 0)
  t.equal(kind.begun, 1 + availableParallelism())
  await slots.giveBack(first)
  const closing = slots.close()
  letGo()
  await Promise.all([closing, filled])
  t.equal(kind.begun, 1 + availableParallelism())
  t.same(kind.living, [])
})

t.test('a jail that is there already is slot 0 once, and then ends as any other', async (t) => {
  const kind = new WatchedJails()
  const first = { jail: await kind.make(0, '/slots/0-first'), root: '/slots/0-first' }
  const slots = new Slots({ count: 2, kind, folder: '/slots', first, log: pino({ enabled: false }) })
  await slots.start()
  t.same(
    kind.made.map((one) => one.number),
    [0, 1],
  )
  const slot = await slots.take()
  t.equal(slot.jail, first.jail)
  await slots.giveBack(slot)
  await slots.take()
  const again = await slots.take()
  t.equal(again.number, 0)
  t.not(again.jail, first.jail)
  t.same(kind.wiped, [first.root])
})

t.test('a jail that is there already is ended and wiped when the slots are closed, or have no control group for it', async (t) => {
  for (const groups of [null, { slot: () => Promise.reject(new Error('no group')) } as unknown as ControlGroups]) {
    const kind = new WatchedJails()
    const first = { jail: await kind.make(0, '/slots/0-first'), root: '/slots/0-first' }
    const slots = new Slots({ count: 1, kind, folder: '/slots', first, groups, log: pino({ enabled: false }) })
    await slots.start()
    t.equal(slots.place(0).state, groups ? 'failed' : 'idle')
    await slots.close()
    t.same(kind.living, [])
    t.same(kind.wiped, [first.root])
  }
})

t.test('a jail that is there already and ends by itself is no slot of anybody', async (t) => {
  const kind = new WatchedJails()
  const first = { jail: await kind.make(0, '/slots/0-first'), root: '/slots/0-first' }
  kind.made[0]?.die()
  const slots = new Slots({ count: 1, kind, folder: '/slots', first, log: pino({ enabled: false }) })
  await slots.start()
  const { number, jail } = await slots.take()
  t.equal(number, 0)
  t.not(jail, first.jail)
  t.same(kind.wiped, [first.root])
})

t.test('a number is not used again while its processes may live', async (t) => {
  const { slots, kind } = await started(t, 2)
  const [first, second] = [await slots.take(), await slots.take()]
  let letGo = (): void => {}
  kind.hold = new Promise((resolve) => {
    letGo = resolve
  })
  const slow = slots.giveBack(first)
  const slowToo = slots.giveBack(second)
  letGo()
  kind.hold = Promise.resolve()
  await Promise.all([slow, slowToo])
  const again = [await slots.take(), await slots.take()]
  t.same(again.map((one) => one.number).sort(), [0, 1])
  for (const one of again) await slots.giveBack(one)
})

t.test('while one is still being ended, another that came back keeps its own number', async (t) => {
  const { slots, kind } = await started(t, 2)
  const [first, second] = [await slots.take(), await slots.take()]
  let letGo = (): void => {}
  const stuck = new Promise<void>((resolve) => {
    letGo = resolve
  })
  const end = first.jail.end.bind(first.jail)
  first.jail.end = () => stuck.then(end)
  const slow = slots.giveBack(first)
  await slots.giveBack(second)
  const next = await slots.take()
  t.equal(next.number, second.number)
  t.equal(slots.place(first.number).state, 'wiping')
  letGo()
  await slow
  const last = await slots.take()
  t.equal(last.number, first.number)
  t.same(kind.living.sort(), [0, 1])
  await slots.giveBack(next)
  await slots.giveBack(last)
})

t.test('nobody waits for a slot that is already promised', async (t) => {
  const { slots } = await started(t, 2)
  const asked = await Promise.allSettled(Array.from({ length: 5 }, () => slots.take()))
  const got = asked.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  t.equal(got.length, 2)
  for (const one of asked) if (one.status === 'rejected') t.match(one.reason, { code: 'SLOT_UNAVAILABLE', cause: undefined })
  for (const one of got) await slots.giveBack(one)
})

t.test('a ready jail that ended by itself is replaced before anybody gets it', async (t) => {
  const { slots, kind } = await started(t, 1)
  kind.made[0]?.die()
  await new Promise((resolve) => setImmediate(resolve))
  const slot = await slots.take()
  t.equal(kind.made.length, 2)
  t.same(kind.wiped, [kind.made[0]?.root])
  t.same(kind.living, [0], 'the one that was handed out lives')
  await slots.giveBack(slot)
})

t.test('a slot that could not be made is tried again soon, and whoever waits for it learns nothing of that', async (t) => {
  const kind = new WatchedJails()
  kind.failures = 2
  const { slots, clock } = await started(t, 1, kind)
  t.match(slots.place(0), { state: 'failed', reason: /as the test wants it/ })
  const taking = slots.take()
  clock.move(499)
  await turnOfTheLoop()
  t.equal(kind.begun, 1)
  clock.move(1)
  while (kind.begun < 2 || slots.place(0).state !== 'failed') await turnOfTheLoop()
  clock.move(3_999)
  await turnOfTheLoop()
  t.equal(kind.begun, 2)
  clock.move(1)
  const slot = await taking
  t.match(slots.place(0), { state: 'leased', reason: null, uses: 1 })
  t.same(kind.wiped.length, 2, 'what it failed at left nothing')
  await slots.giveBack(slot)
})

t.test('one that could not be made three times in a row is quarantined: nobody waits for it, and it is not made again', async (t) => {
  const kind = new WatchedJails()
  kind.broken.add(0)
  const { slots, clock } = await started(t, 2, kind)
  const other = await slots.take()
  t.equal(other.number, 1)
  const refused = t.rejects(slots.take(), { code: 'JAIL_FAILED', message: 'as the test wants it' })
  for (const begun of [3, 4]) {
    clock.move(4_000)
    while (kind.begun < begun) await turnOfTheLoop()
    while (slots.place(0).state === 'preparing') await turnOfTheLoop()
  }
  await refused
  t.match(slots.place(0), { state: 'quarantined', reason: /could not be made ready 3 times in a row.*as the test wants it/ })
  t.equal(slots.outOfService, 1)
  const refusal = { code: 'SLOT_UNAVAILABLE', message: /out of order \(slot 0: it could not be made/, details: { slots: 2 } }
  await t.rejects(slots.take(), refusal)
  await slots.giveBack(other)
  clock.move(3_600_000)
  for (let i = 0; i < 5; i++) {
    const slot = await slots.take()
    t.equal(slot.number, 1, 'the others go on')
    await t.rejects(slots.take(), refusal)
    await slots.giveBack(slot)
  }
  t.equal(kind.made.filter(({ number }) => number === 0).length, 0)
})

t.test('those who wait for slots that are quarantined are told, as many as there are slots too few', async (t) => {
  const kind = new WatchedJails()
  for (const number of [0, 1]) kind.broken.add(number)
  const { slots, clock } = await started(t, 3, kind)
  const taking = Promise.allSettled([slots.take(), slots.take(), slots.take()])
  for (const begun of [5, 7]) {
    clock.move(4_000)
    while (kind.begun < begun) await turnOfTheLoop()
    while ([0, 1, 2].some((number) => slots.place(number).state === 'preparing')) await turnOfTheLoop()
  }
  const settled = await taking
  t.equal(settled.filter((one) => one.status === 'fulfilled').length, 1)
  for (const one of settled) if (one.status === 'rejected') t.match(one.reason, { code: 'JAIL_FAILED' })
  t.equal(slots.outOfService, 2)
  for (const one of settled) if (one.status === 'fulfilled') await slots.giveBack(one.value)
})

t.test('a ready jail that ends by itself time and again is one that could not be made', async (t) => {
  const { slots, kind } = await started(t, 1)
  const taking = slots.take()
  t.equal((await taking).number, 0)
  await slots.giveBack(await taking)
  kind.dieAtOnce = true
  const error = await slots.take().catch((error) => error)
  t.match(error, { code: 'SLOT_UNAVAILABLE' })
  t.match(slots.place(0), { state: 'quarantined', reason: /ended by itself/ })
  t.same(
    kind.wiped,
    kind.made.map((one) => one.root),
  )
})

t.test('a slot that could not be made is passed over for one that is idle', async (t) => {
  const kind = new WatchedJails()
  kind.failures = 1
  const { slots, clock } = await started(t, 3, kind)
  const taken = [await slots.take(), await slots.take()]
  t.same(taken.map((one) => one.number).sort(), [1, 2])
  clock.move(500)
  taken.push(await slots.take())
  t.equal(taken[2]?.number, 0)
  for (const one of taken) await slots.giveBack(one)
})

t.test('a number whose processes could not be ended is never used again, and they are tried to be ended at the end', async (t) => {
  const { slots, kind } = await started(t, 2)
  const first = await slots.take()
  const end = first.jail.end.bind(first.jail)
  let stuck = true
  first.jail.end = () => (stuck ? Promise.reject(new SlotpoolError('JAIL_FAILED', 'they live')) : end())
  await t.rejects(slots.giveBack(first), { message: 'they live' })
  while (slots.place(first.number).state !== 'quarantined') await turnOfTheLoop()
  t.match(slots.place(first.number), { reason: /processes could not be ended: they live/ })
  const second = await slots.take()
  t.not(second.number, first.number)
  await t.rejects(slots.take(), { code: 'SLOT_UNAVAILABLE', message: /they live/ })
  await slots.giveBack(second)
  t.same(kind.made.filter(({ number }) => number === first.number).length, 1)
  t.notOk(kind.wiped.includes(kind.made.find(({ number }) => number === first.number)?.root ?? ''), 'nor is it wiped under them')
  stuck = false
  await slots.close()
  t.same(kind.living, [])
  t.same([...kind.wiped].sort(), kind.made.map((one) => one.root).sort())
})

t.test('one that could not be made, nor ended, is quarantined at once, and not wiped under its processes', async (t) => {
  const kind = new WatchedJails()
  const jail = await kind.make(0, '/slots/0-first')
  jail.end = () => Promise.reject(new SlotpoolError('JAIL_FAILED', 'they live'))
  const groups = { slot: () => Promise.reject(new Error('no group')) } as unknown as ControlGroups
  const { slots } = await started(t, 1, kind, { first: { jail, root: '/slots/0-first' }, groups })
  t.match(slots.place(0), { state: 'quarantined', reason: /could not be ended: they live/ })
  t.same(kind.wiped, [])
  await t.rejects(slots.take(), { code: 'SLOT_UNAVAILABLE' })
})

t.test('nobody gets a slot before what its last lease left is wiped', async (t) => {
  const { slots, kind } = await started(t, 1)
  let letGo = (): void => {}
  kind.holdWiping = new Promise((resolve) => {
    letGo = resolve
  })
  await slots.giveBack(await slots.take())
  while (kind.made.length < 2) await turnOfTheLoop()
  t.equal(slots.idle, 0, 'though its next jail is there')
  let taken = false
  const taking = slots.take().finally(() => {
    taken = true
  })
  await turnOfTheLoop()
  t.equal(taken, false)
  letGo()
  await slots.giveBack(await taking)
})

t.test('a slot whose wipe fails is quarantined, with the jail that was made for its next lease', async (t) => {
  const { slots, kind } = await started(t, 2)
  const first = await slots.take()
  kind.wipeFailure = new Error('a file that stays')
  await slots.giveBack(first)
  while (slots.place(first.number).state !== 'quarantined') await turnOfTheLoop()
  t.match(slots.place(first.number), { reason: /could not be wiped: a file that stays/ })
  const others = kind.living.filter((number) => number === first.number)
  t.same(others, [], 'no jail of it lives')
  const second = await slots.take()
  t.not(second.number, first.number)
  await t.rejects(slots.take(), { code: 'SLOT_UNAVAILABLE', message: /a file that stays/ })
  kind.wipeFailure = undefined
  await slots.giveBack(second)
  await slots.close()
  for (const { root } of kind.made) t.ok(kind.wiped.includes(root), `${root} is wiped at the end`)
})

t.test('a slot that breaks its health check is quarantined before anybody gets it', async (t) => {
  const { slots, kind } = await started(t, 2)
  kind.faults.set(0, 'its folder is gone')
  const slot = await slots.take()
  t.equal(slot.number, 1)
  while (slots.place(0).state !== 'quarantined') await turnOfTheLoop()
  t.match(slots.place(0), { reason: 'it broke its health check: its folder is gone', uses: 0 })
  t.same(kind.living, [1], 'nothing of it lives')
  await t.rejects(slots.take(), { code: 'SLOT_UNAVAILABLE' })
  await slots.giveBack(slot)
})

t.test('a jail that is seen to break its health check just before it says that it ended is replaced', async (t) => {
  const { slots, kind } = await started(t, 1)
  kind.faults.set(0, 'its folder is gone')
  const taking = slots.take()
  await turnOfTheLoop()
  kind.faults.clear()
  kind.made[0]?.die()
  const slot = await taking
  t.equal(slot.number, 0)
  t.equal(kind.made.length, 2)
  await slots.giveBack(slot)
})

t.test('a slot that was leased as often as it may be is spent: wiped, and not made again', async (t) => {
  const { slots, kind } = await started(t, 2, new WatchedJails(), { maxReuses: 2 })
  const numbers: number[] = []
  for (let i = 0; i < 4; i++) {
    const slot = await slots.take()
    numbers.push(slot.number)
    await slots.giveBack(slot)
  }
  t.same(numbers.sort(), [0, 0, 1, 1])
  while (slots.outOfService < 2) await turnOfTheLoop()
  for (const number of [0, 1]) t.match(slots.place(number), { state: 'spent', reason: /leased 2 times/, uses: 2 })
  await t.rejects(slots.take(), { code: 'SLOT_UNAVAILABLE', message: /leased 2 times/ })
  t.equal(kind.made.length, 4)
  t.same([...kind.wiped].sort(), kind.made.map((one) => one.root).sort())
})

t.test('one that is spent and cannot be wiped is quarantined', async (t) => {
  const { slots, kind } = await started(t, 1, new WatchedJails(), { maxReuses: 1 })
  kind.wipeFailure = new Error('a file that stays')
  await slots.giveBack(await slots.take())
  while (slots.outOfService < 1) await turnOfTheLoop()
  t.match(slots.place(0), { state: 'quarantined' })
  kind.wipeFailure = undefined
})

t.test('waiting for an idle slot', async (t) => {
  const { slots } = await started(t, 1)
  // Its time limits keep no process alive; a server has a socket that does.
  const alive = setInterval(() => {}, 1000)
  t.teardown(() => clearInterval(alive))
  t.equal(await slots.whenIdle(60_000), 1)
  const slot = await slots.take()
  t.equal(await slots.whenIdle(0), 0)
  t.equal(await slots.whenIdle(1), 0)
  t.equal(await slots.whenIdle(60_000, AbortSignal.abort()), 0)
  const waiting = slots.whenIdle(60_000)
  await slots.giveBack(slot)
  t.equal(await waiting, 1)
})
